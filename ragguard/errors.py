"""Every error ragguard raises.

::

    RagGuardError
    ├── ConfigurationError              a setting cannot be used            (exit 2)
    │   ├── InvalidValueError           one value is out of its range, also a ValueError
    │   ├── UnknownNameError            no plugin, score or field of that name
    │   ├── ReaderMismatchError         a reranker was trained for another reader
    │   └── MissingDependencyError      an optional package is not installed
    ├── DataError                       the user's data cannot be used      (exit 2)
    │   ├── EmptyCorpusError            no passage with text
    │   ├── UnreadableFileError         missing, truncated, or not what its suffix says
    │   ├── DuplicateIdError            two records claim one id
    │   ├── QuestionSetError            a question line is malformed
    │   │   ├── UnknownPassageError     `relevant` names an id the corpus lacks
    │   │   └── UnlocatedAnswerError    a relevant document was split and nothing says where
    │   ├── PreferenceSetError          preferences contradict one another, or are of another question
    │   │   └── SplitLeakageError       one question's cluster is in two splits
    │   ├── InvalidVectorError          NaN, infinite or wrongly shaped vectors
    │   ├── InvalidScoreError           NaN or missing retrieval score
    │   ├── QuestionTooLongError        it leaves no room for a passage beside it
    │   ├── MissingPropensityError      nobody recorded how likely an order of passages was
    │   └── ScoreOrientationError       the store's scores point the other way
    ├── IndexFileError                  an index on disk cannot be used     (exit 2)
    ├── ArtifactError                   a calibration cannot be used        (exit 2)
    │   ├── ArtifactCorruptedError      truncated, altered, or not an artifact
    │   ├── CalibrationMismatchError    calibrated for another embedder, index or score
    │   └── CalibrationExpiredError     its validity has ended
    ├── NoValidThresholdError           no threshold meets the target       (exit 4)
    │   ├── TooFewQuestionsError        n is below what alpha and delta need
    │   ├── TooFewAnswersError          fewer benign answers than a false-refusal rate needs
    │   └── TargetUnattainableError     too many needed passages are out of reach
    ├── GuardError                      a guard failed while judging a turn
    │   ├── DeadlineExceededError       the turn's time ran out
    │   └── ScoringError                a model's back end failed, or gave NaN or infinity
    ├── GenerationError                 a generator or question writer gave nothing usable
    └── RefusalError                    raised by `Report.raise_for_refusal` alone

A judgement is data (a `Verdict`, a `Report`); these are for what went wrong. A
message names the setting or the id at fault and what would do; it never holds
the text of a question, passage or answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class RagGuardError(Exception):
    """Base of every error raised by ragguard.

    Attributes:
        code: a stable lower-case identifier for logs, JSON lines and metrics.
        hint: what would do instead, or "".
        details: the numbers and ids behind the message; never user text.
    """

    code = "ragguard_error"
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", details: Mapping[str, Any] | None = None) -> None:
        self.hint = hint
        self.details = dict(details or {})
        super().__init__(f"{message} ({hint})" if hint else message)


class ConfigurationError(RagGuardError):
    """A setting, option or combination of them cannot be used."""

    code = "configuration"
    exit_code = 2


class InvalidValueError(ConfigurationError, ValueError):
    """One value is outside its range; the message names both."""

    code = "invalid_value"


class UnknownNameError(ConfigurationError):
    """No plugin, score, field or back end has that name; the known ones are listed."""

    code = "unknown_name"


class MissingDependencyError(ConfigurationError):
    """An optional package is needed; the message says which and how to install it."""

    code = "missing_dependency"


class ReaderMismatchError(ConfigurationError):
    """A reranker learnt what another reader needs; both readers are named."""

    code = "reader_mismatch"


class DataError(RagGuardError):
    """The user's data cannot be used."""

    code = "data"
    exit_code = 2


class EmptyCorpusError(DataError):
    """No passage with text is left to search."""

    code = "empty_corpus"


class UnreadableFileError(DataError):
    """A file is missing, truncated, or not what its suffix says."""

    code = "unreadable_file"


class DuplicateIdError(DataError):
    """Two records claim one id."""

    code = "duplicate_id"


class QuestionSetError(DataError):
    """A question line is malformed; the message names file and line or id."""

    code = "question_set"


class UnknownPassageError(QuestionSetError):
    """`relevant` names an id that the corpus does not have."""

    code = "unknown_passage"


class UnlocatedAnswerError(QuestionSetError):
    """A relevant document was split into passages and neither `answer` nor `offsets` locates one."""

    code = "unlocated_answer"


class PreferenceSetError(DataError):
    """Preferences contradict one another, are of several questions under one id, or too few to learn from."""

    code = "preference_set"


class SplitLeakageError(PreferenceSetError):
    """Near-duplicate or augmented questions lie in different splits; the clusters are named by a question's id."""

    code = "split_leakage"


class InvalidVectorError(DataError):
    """Vectors hold NaN or infinity, or have another shape than the index."""

    code = "invalid_vector"


class InvalidScoreError(DataError):
    """A retrieval score is NaN, or missing where one is required."""

    code = "invalid_score"


class QuestionTooLongError(DataError):
    """A question leaves a model no room for a passage beside it; questions are never cut."""

    code = "question_too_long"


class MissingPropensityError(DataError):
    """Feedback is to be weighted by how likely its order was, and nobody recorded that."""

    code = "missing_propensity"


class ScoreOrientationError(DataError):
    """The store's scores point the other way than declared, or are inconsistent."""

    code = "score_orientation"


class IndexFileError(RagGuardError):
    """An index on disk is missing, truncated, foreign or altered."""

    code = "index_file"
    exit_code = 2


class ArtifactError(RagGuardError):
    """A calibration artifact cannot be used."""

    code = "artifact"
    exit_code = 2


class ArtifactCorruptedError(ArtifactError):
    """The artifact is truncated, altered, or was not written by ragguard."""

    code = "artifact_corrupted"


class CalibrationMismatchError(ArtifactError):
    """The artifact was made for another embedder, dtype, chunking, index, score or corpus."""

    code = "calibration_mismatch"


class CalibrationExpiredError(ArtifactError):
    """The artifact's validity has ended and the policy is not to serve on it."""

    code = "calibration_expired"


class NoValidThresholdError(RagGuardError):
    """No threshold meets the target on this calibration set."""

    code = "no_valid_threshold"
    exit_code = 4


class TooFewQuestionsError(NoValidThresholdError):
    """The calibration set is smaller than alpha (and delta) need; both numbers are named."""

    code = "too_few_questions"


class TooFewAnswersError(NoValidThresholdError):
    """There are fewer benign answers than the rate of false refusals needs; both numbers are named."""

    code = "too_few_answers"


class TargetUnattainableError(NoValidThresholdError):
    """Too many needed passages lie outside what the store and cap can return."""

    code = "target_unattainable"


class GuardError(RagGuardError):
    """A guard failed while judging a turn."""

    code = "guard_error"


class DeadlineExceededError(GuardError):
    """The turn's deadline passed before the guard had finished."""

    code = "deadline"


class ScoringError(GuardError):
    """A model gave no score: its back end failed, or returned NaN or infinity. Never taken for a score."""

    code = "scoring"


class GenerationError(RagGuardError):
    """A generator or question writer returned nothing usable."""

    code = "generation"


class RefusalError(RagGuardError):
    """The report's action was not to show the answer; see `Report.raise_for_refusal`."""

    code = "refused"
    exit_code = 3
