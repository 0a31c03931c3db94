"""One typed object for all settings: command line > environment > rfm.toml > defaults."""

from __future__ import annotations

import datetime as dt
import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from rfm.errors import without_login
from rfm.schema import SettingsError

SHOP_FILE = "rfm.toml"
PATHS = {"landing": "data/landing", "lake": "data/lake", "reports": "reports", "notebooks": "notebooks"}
Share = Annotated[float, Field(ge=0, le=1)]


class _Group(BaseModel):
    """A section of rfm.toml: unknown names are refused, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Landing(_Group):
    """How files are found: ``[files]``."""

    pattern: str = Field("*_transactions.csv*", description="name of a landing file, as a shell pattern")
    encoding: str = Field("auto", description="codec of the files; auto: UTF-8, UTF-16 or Windows-1252, found out line by line")
    separator: Literal["auto", ",", ";", "\t", "|"] = Field("auto", description="between two fields; auto: what fits the header")
    on_refused: Literal["after", "before"] = Field(
        "after", description="a run with a refused file ends with exit status 1 after publishing, or before gold"
    )

    @field_validator("encoding")
    @classmethod
    def _is_codec(cls, encoding: str) -> str:
        try:
            "".encode(encoding if encoding != "auto" else "utf-8")
        except LookupError:
            raise ValueError("is not a text encoding; write auto, utf-8, cp1252 …") from None
        return encoding


class Rules(_Group):
    """What counts: ``[rules]``."""

    stock_code_pattern: str = Field(
        r"^(?:[0-9]{5}[A-Za-z]*|PADS)$", description="products that count for RFM, as a regular expression (RE2)"
    )
    max_dropped_share: Share = Field(0.25, description="a day that drops a larger share of its rows stops before gold")

    @field_validator("stock_code_pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"is not a regular expression ({error})") from None
        return pattern


class Watch(_Group):
    """When a run warns: ``[quality]``."""

    z: float = Field(4.0, gt=0, description="a volume or a share this many robust standard deviations off is warned of")
    history: int = Field(6, ge=2, description="earlier same weekdays, or runs, that must be there before a run warns")
    days: int = Field(14, ge=1, description="days up to the run date that a run warns of")
    fresh_days: int = Field(2, ge=0, description="days that the newest sale may lie before the run date")


class Clusters(_Group):
    """How customers are grouped: ``[clusters]``."""

    k_min: int = Field(2, ge=2, description="smallest number of clusters tried")
    k_max: int = Field(12, le=50, description="largest number of clusters tried")
    iqr_factor: float = Field(1.5, gt=0, description="fences of the outlier rule, in interquartile ranges")
    n_init: int = Field(10, ge=1, description="starts of K-means; the best is kept")
    seed: int = Field(42, ge=0, description="seed of K-means")

    @model_validator(mode="after")
    def _range(self) -> Clusters:
        if self.k_max < self.k_min + 2:
            raise ValueError("k_max must be at least k_min + 2, or no elbow can be seen")
        return self


class Care(_Group):
    """How the tables are kept small and quick: ``[care]``."""

    optimize_every: int = Field(50, ge=0, description="commits after which a table is compacted at the end of a run; 0: never")
    retain_days: int = Field(7, ge=7, description="days that a past version of a table stays readable")


class OnFailure(_Group):
    """Who is told of a run that went wrong: ``[on_failure]``."""

    when: Literal["failed", "warned"] = Field("failed", description="failed runs alone, or those with warnings too")
    command: str = Field("", description="command that gets the run's record as JSON on standard input, without a shell")
    webhook: str = Field("", description="http or https address that the record is posted to")

    @field_validator("command")
    @classmethod
    def _splits(cls, command: str) -> str:
        try:
            shlex.split(command)
        except ValueError as error:
            raise ValueError(f"is not a command ({error})") from None
        return command

    @field_validator("webhook")
    @classmethod
    def _is_web(cls, webhook: str) -> str:
        if webhook and not webhook.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return webhook


class Shop(_Group):
    """What the report calls things: ``[shop]``."""

    name: str = Field("Online Retail", description="name on the report")
    currency: str = Field("£", description="sign before an amount")


class Settings(BaseSettings):
    """Everything a run can be told.

    A value is looked up on the command line (or in the call), then in the environment (``RFM_DATE``,
    ``RFM_CLUSTERS__SEED`` …), then in ``rfm.toml``, then among the defaults. Relative paths on the command
    line and in the environment start from the working directory, those in ``rfm.toml`` from its own folder.
    """

    model_config = SettingsConfigDict(
        env_prefix="RFM_", env_nested_delimiter="__", env_ignore_empty=True, extra="forbid", frozen=True
    )

    date: dt.date | None = Field(None, description="run date; the newest day in the landing folder if not given")
    landing: str = Field(description="folder or URL with the daily files")
    lake: str = Field(description="folder or URL of the tables")
    reports: str = Field(description="folder or URL of the published reports")
    notebooks: str = Field(description="folder with the notebooks of the chain")
    files: Landing = Landing()
    rules: Rules = Rules()
    clusters: Clusters = Clusters()
    quality: Watch = Watch()
    care: Care = Care()
    shop: Shop = Shop()
    on_failure: OnFailure = OnFailure()
    expectations: dict[str, Literal["drop", "warn", "fail"]] = Field({}, description="rule = drop, warn or fail")
    recommendations: dict[str, str] = Field({}, description="segment = the shop's own recommended action")

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # the sources that are not used stay unnamed
        cls, settings_cls: type[BaseSettings], init_settings: Any, env_settings: Any, **_: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: the call, the environment, the shop's file; parameters as for `BaseSettings`."""
        return init_settings, env_settings, _ShopFile(settings_cls, shop_file())

    @field_validator("landing", "lake", "reports", "notebooks")
    @classmethod
    def _absolute(cls, path: str) -> str:
        return absolute(path)


class _ShopFile(TomlConfigSettingsSource):
    """The shop's file; its relative paths, and the default ones, start from its own folder."""

    def __call__(self) -> dict[str, Any]:
        given = {name: value for name, value in super().__call__().items() if value != ""}
        folder = file.parent if (file := shop_file()) else Path.cwd()
        paths = {name: given.get(name, default) for name, default in PATHS.items()}
        return {**given, **{name: absolute(path, folder) if isinstance(path, str) else path for name, path in paths.items()}}


def shop_file(start: Path | None = None) -> Path | None:
    """Return the nearest ``rfm.toml``, in the working directory or above it."""
    start = start or Path.cwd()
    return next((found for folder in (start, *start.parents) if (found := folder / SHOP_FILE).is_file()), None)


def absolute(path: str, folder: Path | None = None) -> str:
    """Return a URL as it is and a path as an absolute one; a URL with a password in it raises SettingsError.

    Parameters
    ----------
    path
        Path or URL, as a user writes it.
    folder
        Where a relative path starts; the working directory if not given.

    Examples
    --------
    >>> absolute("s3://shop/daily_sales/")
    's3://shop/daily_sales'
    """
    if "://" in path:
        return without_login(path).rstrip("/")
    return str((folder or Path.cwd()).joinpath(Path(path).expanduser()).resolve())


def load_settings(**given: Any) -> Settings:
    """Return the settings in force.

    Parameters
    ----------
    **given
        Values that win over all other sources; ``None`` and empty texts count as not given, so that a
        notebook's parameters can stand empty.

    Returns
    -------
    Settings

    Raises
    ------
    SettingsError
        One line that names every wrong setting, what was there and what is wanted.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value not in (None, "")})
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(part) for part in error.errors())) from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{shop_file()}: cannot be read ({error})") from None


def _sentence(error: Any) -> str:
    """Say one validation error in words."""
    name = ".".join(str(part) for part in error["loc"]) or "settings"
    found = "" if error["type"] == "extra_forbidden" else f", found {error['input']!r}"
    return f"setting {name}: {error['msg'].removeprefix('Value error, ')}{found}"
