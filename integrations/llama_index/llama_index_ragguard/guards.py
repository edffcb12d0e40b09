"""What is judged before an answer is: the question, the passages, and whether there are any."""

from __future__ import annotations

from ragguard.pipeline import Pipeline
from ragguard.types import Action, Mode, Reason, Stage, Turn, Verdict


def before_the_answer(pipeline: Pipeline) -> Pipeline | None:
    """Return what looks at questions and passages, without observers, or None where nothing does.

    They hear of the whole turn, once.
    """
    early = [
        s
        for s in pipeline.steps
        if s.mode is Mode.ENFORCE and s.guard.stages & {Stage.QUESTION, Stage.PASSAGES}
    ]
    return Pipeline(early, deadline=pipeline.deadline, messages=pipeline.messages) if early else None


class RequiredEvidence:
    """Abstains from a turn to which nothing was found."""

    name = "evidence_required"
    stages = frozenset({Stage.PASSAGES})

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        """Ask for at least one passage."""
        if turn.passages:
            return Verdict(guard=self.name, stage=stage, action=Action.PASS)
        return Verdict(guard=self.name, stage=stage, action=Action.ABSTAIN, reason=Reason.NO_EVIDENCE)

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        """`check`, which takes no time."""
        return self.check(turn, stage)
