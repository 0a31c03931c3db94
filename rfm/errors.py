"""The errors of rfm, and how their messages are made: one line that names file, column, count and remedy."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

# what stands before @ in a URL: user, password or token
LOGIN = re.compile(r"://(?:[^/?#@\s'\"]*@|[^/@\s]*:(?![0-9]+/)[^@\s]*@)")
# names of settings whose values are secret, in rfm.toml and in the environment, and variables that are secret as a whole
SECRET_SETTINGS = ("remote", "on_failure.webhook", "on_failure.command", "on_done.webhook", "on_done.command")
SECRETS = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "OPENLINEAGE_API_KEY",
    "RFM_WEBHOOK_SECRET",
    "RFM_CUSTOMER_KEY",
    "RFM_PUBLISH_KEY",
)
LEAST = 4  # characters of a secret that is masked: a shorter one is in any text
# the path of a webhook, and the parameters of a Spark server, hold tokens
ADDRESS = re.compile(r"(?P<host>\w+://[^/\s'\"]+)/\S+")
ECHO = re.compile(r"<Token-0>.*?(?:</Token-0>|$)", re.DOTALL)  # servers repeat a token that they refuse
MASKED = {  # patterns of what no message repeats, and what stands in its place
    LOGIN: "://***@",
    ECHO: "<Token-0>***",
    re.compile(
        r"(?i)\b((?:[\w-]*(?:token|secret|passw(?:or)?d|api_?key|signature|credentials?)|sig|key)=)(?!\*)[^;&\s'\",)]+"
    ): r"\1***",
    re.compile(r"(?i)\b(bearer\s+)(?!token\b)[\w.~+/=-]{8,}"): r"\1***",
}
EMAIL = re.compile(r"([\w+])[\w.+-]*@([\w-]+(?:\.[\w-]+)+)")
# how libraries quote the values that they cannot convert
QUOTED = re.compile(r"\[[^\[\]]*[\"',][^\[\]]*\]|(?<=value )(?:'[^']*'|\"[^\"]*\")|(?<=string )(?:'[^']*'|\"[^\"]*\")")
# control characters, marks that turn the direction of text, zero-width characters and lone surrogates
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]")
NO_MEMORY = "there is too little memory; close other programs, or take a larger computer, then run again"
REPAIR = "`rfm repair`"  # what messages about damaged tables advise
NETWORK = ("botocore", "aiobotocore", "aiohttp")  # packages whose errors come from outside the code
TROUBLES = {  # pattern in an error's text: what it means and what to do; the first match counts
    r"NoCredentials|locate credentials|PartialCredentials|169\.254\.169\.254|ProfileNotFound|no providers in chain": (
        "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or use a role"
    ),
    r"NoSuchBucket|bucket does not exist": "there is no such bucket; make it, or correct the name",
    r"InvalidAccessKeyId|SignatureDoesNotMatch|(?:Invalid|Expired)Token|token is malformed|token (?:has|is) expired": (
        "the credentials are not accepted; renew them and run again"
    ),
    r"AccessDenied|\b403 Forbidden|^PermissionError: (?:Forbidden|Access Denied)|lacked the necessary privileges": (
        "access is denied; ask for the right to list, read and write there"
    ),
    r"ConnectTimeout|ReadTimeout|FSTimeout|operation timed out|ConnectionClosed": (
        "the server does not answer in time; see AWS_ENDPOINT_URL and the network, then run again"
    ),
    r"EndpointConnection|connect to the endpoint|client error \(Connect\)|connect error|dns error|[Ii]nvalid ?[Ee]ndpoint": (
        "the server cannot be reached; see AWS_ENDPOINT_URL and the network, then run again"
    ),
    r"^SparkConnectGrpcException": "the Spark server ended or is out of reach; see its log, then run the same day again",
}


SHORT = {  # the same for what this computer has too little of
    r"No space left|os error 28\b|Errno 28\b|[Qq]uota exceeded": "the disk is full; free some space, then run again",
    r"File too large|os error 27\b|Errno 27\b": (
        "no file may be that large; set `ulimit -f unlimited`, or name another disk, then run again"
    ),
    r"Too many open files|os error 24\b|Errno 24\b": (
        "too few files may be open at once; raise the limit, as with `ulimit -n 1024`, then run again"
    ),
    r"MemoryError|[Oo]ut of memory|annot allocate memory|os error 12\b|bad_alloc|malloc of size|Unable to allocate|"
    r"failed to map segment|can.t start new thread": NO_MEMORY,
}
GROUND = {  # the same for whatever happens on this computer
    **SHORT,
    r"Read-only file system|os error 30\b|Errno 30\b": "the disk is read-only; name another place, then run again",
    r"Permission denied|os error 13\b|Errno 13\b": "no permission; choose another folder or change its rights",
    r"(?:No such file|not found)[^\n]*\.parquet|\.parquet[^\n]*(?:No such file|not found)|out of spec|range\.end as u64|"
    r"(?i:parquet (?:file|magic|error|footer)|eof while reading parquet|invalid parquet)": (
        f"a data file of the lake is missing or damaged; {REPAIR} says what it can rebuild, and does"
    ),
}
TABLE_FILE = re.compile(r"(\w+)/[^/\s]+\.parquet")


class RfmError(Exception):
    """Any error that users can fix; its one line names file, column, count and remedy.

    Examples
    --------
    >>> import rfm
    >>> try:
    ...     rfm.load_settings(clusters={"k_min": 1})
    ... except rfm.RfmError as error:
    ...     print(error)
    setting clusters.k_min: Input should be greater than or equal to 2, found 1
    """

    exit_status = 1

    def __str__(self) -> str:
        """Return the message in one line, without secrets."""
        return printable(redact(super().__str__()))


class SettingsError(RfmError):
    """Wrong options or settings: the run has not started."""

    exit_status = 2


class InputError(RfmError):
    """A file, folder or lake that cannot be read."""


class ContractError(RfmError):
    """A frame that breaks the contract of its table."""


class StageError(RfmError):
    """A stage of the run that failed."""


def unknown(kind: str, given: Iterable[str], allowed: Iterable[str]) -> str:
    """Return a message that lists the unknown names, close matches and the allowed names."""
    from difflib import get_close_matches

    allowed = sorted(allowed)
    said = []
    for name in given:
        close = get_close_matches(name, allowed, 1)
        said.append(f"'{name}'" + (f" (did you mean '{close[0]}'?)" if close else ""))
    return f"unknown {kind} {', '.join(said)}; allowed: {', '.join(allowed)}"


def printable(text: str, keep: str = "") -> str:
    """Return a text in one line, its control characters escaped as in JSON, except those to keep."""
    return UNSEEN.sub(lambda found: found[0] if found[0] in keep else json.dumps(found[0])[1:-1], text)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, without secrets and the values that a library quotes."""
    own = isinstance(error, RfmError)
    said = (Exception.__str__(error) if own else str(error)).strip()  # not yet in one line
    line = said.splitlines()[0] if said else type(error).__name__
    return printable(redact(line if own else QUOTED.sub("…", line)))


def explain_cloud_error(error: BaseException | str) -> str | None:
    """Return the cause of an error of a bucket, a network or a Spark server, and its remedy; None for others."""
    # the server's own text is not repeated: it may hold a token
    return _first_match(error, TROUBLES)


def _first_match(error: BaseException | str, meanings: dict[str, str]) -> str | None:
    text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    return next((said for pattern, said in meanings.items() if re.search(pattern, text)), None)


def in_words(error: BaseException | str) -> str | None:
    """Return in a sentence what went wrong outside the program, and its remedy; None for any other error."""
    if known := explain_cloud_error(error):
        return f"a service failed: {known}"
    said, table = _first_match(error, GROUND), TABLE_FILE.search(str(error))
    return f"{table[1]}: {said}" if said and table and REPAIR in said else said


def as_user_error(error: BaseException, said: str, remedy: str = "", *more: type[Exception]) -> BaseException:
    """Return an InputError for an error of a disk, a network or a missing package; any other error as it is."""
    outside = isinstance(error, (OSError, ImportError, *more)) or type(error).__module__.startswith(NETWORK)
    if isinstance(error, RfmError) or not outside:
        return error
    known = explain_cloud_error(error) or _first_match(error, SHORT)
    reason = known or first_line(error)
    return InputError(f"{said} ({reason})" + (f"; {remedy}" if remedy and not known else ""))


@contextmanager
def friendly_io_errors(said: str, remedy: str = "") -> Iterator[None]:
    """Raise errors of a disk or a network as the one-line error that `as_user_error` returns."""
    try:
        yield
    except Exception as error:
        raise as_user_error(error, said, remedy) from None


def redact(text: str) -> str:
    """Return a text without secrets and e-mail addresses; everything that is shown, logged or kept passes here."""
    for name in SECRETS:
        if len(secret := os.environ.get(name, "")) >= LEAST:
            text = text.replace(secret, "***")
    for name in SECRET_SETTINGS:
        if given := os.environ.get(f"RFM_{name.replace('.', '__').upper()}"):
            text = text.replace(given, hide(given))
    for pattern, instead in MASKED.items():
        text = pattern.sub(instead, text)
    return EMAIL.sub(r"\1***@\2", text) if "@" in text else text  # slow in the images of notebooks, which have none


def hide(value: str) -> str:
    """Return the value of a secret setting as it may be shown: of an address the host, of anything else nothing."""
    found = ADDRESS.match(LOGIN.sub("://", value))
    return f"{found['host']}/***" if found else value if re.fullmatch(r"\w+://[\w.:-]+/?", value) else "***"


def shown(value: object) -> str:
    """Return a value that a setting or a file holds as it may be shown: a number, or a short text without figures."""
    text = repr(value)
    if isinstance(value, bool | int | float) or (len(text) <= 60 and not DATA.search(text)):
        return text
    return f"a text of {len(value):,} characters" if isinstance(value, str) else f"a {type(value).__name__}"


DATA = re.compile(r"@|[0-9]{4}(?!-[0-9]{2})|[\r\n]")  # in what may be a customer's: an address, or a number that is no year


def reject_credentials(address: str) -> str:
    """Return a URL if it holds no password, otherwise raise SettingsError."""
    if not LOGIN.search(address):
        return address
    shown = f"{address.partition('://')[0]}://***@{address.rpartition('@')[2]}"
    raise SettingsError(
        f"{shown}: a URL must not hold a password or a token; remove it and use the environment, a profile or a role"
    )
