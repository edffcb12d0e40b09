"""A knowledge base that every machine has: the Python standard library's own docstrings.

One document per public module, class, function or method, named by its dotted
path ("json.dumps", "str.split"). It is what the demo calibrates and answers on.
"""

from __future__ import annotations

import builtins
import importlib
import inspect
import warnings
from collections.abc import Iterator
from types import ModuleType

from ragguard.corpus.documents import Document

_MINIMUM_WORDS = 6

MODULES: tuple[str, ...] = tuple(
    """
    abc argparse array ast asyncio base64 bisect bz2 calendar cmath cmd code codecs codeop collections
    collections.abc colorsys compileall concurrent.futures configparser contextlib contextvars copy copyreg
    csv dataclasses datetime dbm decimal difflib dis doctest email email.charset email.header email.message
    email.parser email.policy email.utils enum errno filecmp fileinput fnmatch fractions ftplib functools gc
    getopt getpass gettext glob graphlib gzip hashlib heapq hmac html html.parser http http.client
    http.cookiejar http.cookies http.server imaplib importlib importlib.metadata importlib.resources
    importlib.util inspect io ipaddress itertools json keyword linecache locale logging logging.config
    logging.handlers lzma mailbox marshal math mimetypes mmap modulefinder multiprocessing
    multiprocessing.pool multiprocessing.shared_memory netrc numbers operator os os.path pathlib pdb pickle
    pickletools pkgutil platform plistlib poplib posixpath pprint profile pstats py_compile pyclbr queue
    quopri random re reprlib resource rlcompleter runpy sched secrets select selectors shelve shlex shutil
    signal site smtplib socket socketserver sqlite3 ssl stat statistics string stringprep struct subprocess
    symtable sys sysconfig tabnanny tarfile tempfile textwrap threading time timeit token tokenize tomllib
    trace traceback tracemalloc types typing unicodedata unittest unittest.mock urllib.error urllib.parse
    urllib.request urllib.robotparser uuid venv warnings wave weakref webbrowser wsgiref.simple_server
    wsgiref.util xml.dom.minidom xml.etree.ElementTree xml.sax.saxutils xmlrpc.client xmlrpc.server zipapp
    zipfile zipimport zlib zoneinfo
    """.split()
)


def stdlib_documents() -> list[Document]:
    """Return the documents, sorted by id; the same list for the same Python version.

    A text is the object's name and signature, a blank line, and its docstring as
    `inspect.cleandoc` gives it. Objects with fewer than six words of docstring,
    and docstrings already taken by another object, are left out.
    """
    found: dict[str, str] = {}
    for name in ("builtins", *MODULES):
        module = _import(name)
        if module is not None:
            for path, item in _members(module):
                text = _text(path, item)
                if text is not None:
                    found.setdefault(path, text)
    taken: dict[str, str] = {}
    for path in sorted(found, key=lambda p: (p.count("."), p)):
        taken.setdefault(found[path].split("\n\n", 1)[1], path)
    return [Document(id=path, text=found[path], metadata={"title": path}) for path in sorted(taken.values())]


def _import(name: str) -> ModuleType | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except ImportError:  # a platform without this module, e.g. `resource` on Windows
            return None


def _members(module: ModuleType) -> Iterator[tuple[str, object]]:
    prefix = "" if module is builtins else f"{module.__name__}."
    if prefix:
        yield module.__name__, module
    for name in _public(module):
        item = getattr(module, name, None)
        if not (inspect.isclass(item) or inspect.isroutine(item)) or not _belongs(item, module):
            continue
        yield prefix + name, item
        if inspect.isclass(item) and not issubclass(item, BaseException):
            for attribute, value in sorted(vars(item).items()):
                if not attribute.startswith("_") and _documented_member(value):
                    yield f"{prefix}{name}.{attribute}", value


def _public(module: ModuleType) -> list[str]:
    declared = getattr(module, "__all__", None)
    names = declared if declared is not None else [n for n in vars(module) if not n.startswith("_")]
    return sorted(names)


def _belongs(item: object, module: ModuleType) -> bool:
    """True unless the object is another public module's, re-exported here."""
    home = getattr(item, "__module__", None) or module.__name__
    return home == module.__name__ or home not in MODULES


def _documented_member(value: object) -> bool:
    return inspect.isroutine(value) or isinstance(value, property | classmethod | staticmethod)


def _text(path: str, item: object) -> str | None:
    raw = getattr(item, "__doc__", None)
    if not isinstance(raw, str):
        return None
    doc = inspect.cleandoc(raw)
    if len(doc.split()) < _MINIMUM_WORDS:
        return None
    return f"{path}{_signature(item)}\n\n{doc}"


def _signature(item: object) -> str:
    if inspect.ismodule(item) or isinstance(item, property):
        return ""
    try:
        signature = str(inspect.signature(item))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""
    # Defaults such as "<object object at 0x7f...>" differ on every run.
    return "" if " at 0x" in signature else signature
