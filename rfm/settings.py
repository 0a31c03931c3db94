"""All settings in one typed object: command line > environment > rfm.toml > defaults."""

from __future__ import annotations

import datetime as dt
import os
import re
from difflib import get_close_matches
from hashlib import blake2s
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_data_path
from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from rfm import config
from rfm.dialect import DISCOUNT_LINE, NEUTRAL, OTHER_LINE, Columns, Customers, Dialect, Format, Positive, Rules
from rfm.errors import SECRET_SETTINGS, SettingsError, hide, reject_credentials, shown

SHOP_FILE, EXAMPLE_FILE = "rfm.toml", "rfm.example.toml"
CATALOG_NAME = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*")
# delta-rs writes elsewhere with such a path, or not at all
NO_DELTA = re.compile(r"%[0-9A-Fa-f]{2}|[\x00-\x1f\x7f\ud800-\udfff]")
NO_DELTA_ON_DISK = re.compile(rf"{NO_DELTA.pattern}|[\[\]|^\\]")  # more characters in folders; in a bucket's URL they are encoded
PATHS = {"landing": "data/landing", "lake": "data/lake", "reports": "reports", "notebooks": "notebooks"}


class Settings(BaseSettings):
    """The settings of a run.

    The command line (or the call) wins over the environment (``RFM_DATE``, ``RFM_CLUSTERS__SEED`` …), that over
    ``rfm.toml``, and that over the defaults. Relative paths on the command line and in the environment start from
    the working directory, those in ``rfm.toml`` and the defaults from the folder that `root` finds.
    """

    model_config = SettingsConfigDict(
        env_prefix="RFM_", env_nested_delimiter="__", env_ignore_empty=True, extra="forbid", frozen=True
    )

    date: dt.date | None = Field(None, description="run date; by default the newest day in the files' names, or of a sale")
    engine: Literal["polars", "spark"] = Field("polars", description="computes the large tables: here, or at `remote`")
    remote: str = Field("", validate_default=True, description="Spark Connect server, sc://host:port; tokens go into RFM_REMOTE")
    landing: str = Field(description="folder or URL of the daily files, such as s3://bucket/daily_sales")
    lake: str = Field(description="folder or URL of the tables; with Spark also catalog.schema")
    reports: str = Field(description="folder or URL of the published reports")
    notebooks: str = Field(description="folder of the stage notebooks; by default those of the package")
    files: config.Files = config.Files()
    columns: Columns = Columns()
    format: Format = Format()
    rules: Rules = Field(Rules(), validate_default=True)
    customers: Customers = Customers()
    currencies: dict[str, Positive] = Field(
        {},
        validate_default=True,
        description="currency = its worth in the shop's own, for columns.currency; a line in any other is quarantined",
        examples=["EUR = 1.0"],
    )
    baseline: config.Baseline = config.Baseline()
    clusters: config.Clusters = config.Clusters()
    cutoffs: config.Cutoffs = config.Cutoffs()
    states: config.States = config.States()
    exclusions: config.Exclusions = config.Exclusions()
    quality: config.Quality = config.Quality()
    history: config.History = config.History()
    care: config.Care = config.Care()
    shop: config.Shop = config.Shop()
    publish: config.Publish = config.Publish()
    on_failure: config.OnFailure = config.OnFailure()
    on_done: config.OnDone = config.OnDone()
    archive: config.Archive = config.Archive()
    expectations: dict[str, Literal["drop", "warn", "fail"]] = Field(
        {}, description="drop: quarantine the row; warn: count it; fail: quarantine it and stop before gold"
    )
    recommendations: dict[str, str] = Field({}, description="segment, or segment / state = the shop's own action")

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # unused sources stay unnamed
        cls, settings_cls: type[BaseSettings], init_settings: Any, env_settings: Any, **_: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: the call, the environment, the shop's file; parameters as for `BaseSettings`."""
        return init_settings, env_settings, _ShopFile(settings_cls, shop_file())

    @field_validator("remote")
    @classmethod
    def _is_spark(cls, remote: str, given: ValidationInfo) -> str:
        if given.data.get("engine") == "spark" and not remote.startswith("sc://"):
            raise ValueError("engine spark needs the address of a Spark Connect server, sc://host:port")
        return remote

    @field_validator("format")
    @classmethod
    def _is_plain_on_spark(cls, form: Format, given: ValidationInfo) -> Format:
        if given.data.get("engine") == "spark" and form.timezone:
            raise ValueError("timezone needs engine polars; with spark, export local times")
        return form

    @field_validator("rules")
    @classmethod
    def _fit_the_columns(cls, rules: Rules, given: ValidationInfo) -> Rules:
        columns = given.data.get("columns", Columns())
        values = rules.model_dump()
        if columns.headers != Columns().headers:
            values |= {name: value for name, value in NEUTRAL.items() if name not in rules.model_fields_set}
        if (values["cancellation"] == "flag") != bool(columns.cancelled):
            raise ValueError('cancellation = "flag" and columns.cancelled, the name of the flag\'s column, go together')
        if bool(rules.sold or rules.not_sold or rules.refunds) != bool(columns.status or columns.line_type):
            raise ValueError(
                "sold, not_sold or refunds, and the column of their values, columns.status or line_type, go together"
            )
        values["stock_code_pattern"] = _of_products(rules, values["stock_code_pattern"] if columns.stock_code else "")
        return Rules.model_construct(set(rules.model_fields_set), **values)  # of which rfm.toml names no more than before

    @field_validator("currencies")
    @classmethod
    def _fit_the_column(cls, rates: dict[str, float], given: ValidationInfo) -> dict[str, float]:
        if bool(rates) != bool(given.data.get("columns", Columns()).currency):
            raise ValueError("the rates and columns.currency go together")
        return rates

    @property
    def dialect(self) -> Dialect:
        """How the shop's lines are read, for `rfm.clean` and `rfm.judge`."""
        return Dialect(
            columns=self.columns, format=self.format, rules=self.rules, customers=self.customers, currencies=self.currencies
        )

    @property
    def computes_here(self) -> bool:
        """Whether the large tables are computed in this process, not on a cluster."""
        return self.engine == "polars"

    @field_validator("landing", "lake", "reports", "notebooks")
    @classmethod
    def _absolute(cls, path: str, given: ValidationInfo) -> str:
        named = given.field_name == "lake" and given.data.get("engine") == "spark" and is_catalog_name(path)
        return path if named else absolute(path)


def _of_products(rules: Rules, pattern: str) -> str:
    """Return the pattern of product codes with what `clean` writes for lines of discounts, and without that for others."""
    if rules.other_lines and re.search(pattern, OTHER_LINE):
        if pattern not in ("", "."):
            raise ValueError(f"stock_code_pattern must not match {OTHER_LINE}, the product code of other_lines")
        pattern = f"[^{OTHER_LINE}]"
    known = not rules.discount_pattern or re.search(pattern, DISCOUNT_LINE)
    return pattern if known else f"{pattern}|^{DISCOUNT_LINE}$"


class _ShopFile(TomlConfigSettingsSource):
    """The shop's file; relative paths in it, and default paths, start from the project's folder."""

    def __call__(self) -> dict[str, Any]:
        given = {name: value for name, value in super().__call__().items() if value != ""}
        spark = self.current_state.get("engine", given.get("engine")) == "spark"
        folder = root()
        defaults = {**PATHS, "lake": lake_of(folder), "notebooks": _notebooks(folder)}
        paths = {name: given.get(name, default) for name, default in defaults.items()}
        if spark and is_catalog_name(str(paths["lake"])):
            del paths["lake"]  # no path; it stands in `given`
        # values of other types are left for pydantic to reject
        return given | {name: absolute(path, folder) if isinstance(path, str) else path for name, path in paths.items()}


def real_path(path: str | Path) -> str:
    """Return a path with links resolved, in UTF-8 in any locale, as delta-rs needs it."""
    return os.fsencode(os.path.realpath(path)).decode("utf-8", "surrogateescape")


def lake_of(folder: Path) -> str:
    """Return the default folder of a project's tables: in the project, or in the user's data if Delta cannot use its path."""
    here = real_path(folder / PATHS["lake"])
    if not NO_DELTA_ON_DISK.search(here):
        return str(folder / PATHS["lake"])
    mark = blake2s(here.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
    name = re.sub(r"[^A-Za-z0-9]+", "-", folder.name).strip("-")
    return str(user_data_path("rfm") / f"{name}-{mark}")


def _notebooks(folder: Path) -> str:
    """Return the project's folder of notebooks if it holds one of the chain, otherwise the package's."""
    own, ours = folder / PATHS["notebooks"], packaged(PATHS["notebooks"])
    has_own = any((own / notebook.name).exists() for notebook in ours.glob("[0-9]_*.ipynb"))
    return str(own if has_own or not ours.is_dir() else ours)


def packaged(name: str) -> Path:
    """Return the path of a file or folder that comes with the package, in a clone that of the clone."""
    inside = Path(__file__).parent / name
    return inside if inside.exists() else inside.parents[1] / name


def root(start: Path | None = None) -> Path:
    """Return the nearest folder with ``rfm.toml`` or ``rfm.example.toml``, otherwise the working directory."""
    start = start or Path.cwd()
    known = (folder for folder in (start, *start.parents) for name in (SHOP_FILE, EXAMPLE_FILE) if (folder / name).is_file())
    return next(known, start)


def shop_file(start: Path | None = None) -> Path | None:
    """Return the path of the project's ``rfm.toml``, or None."""
    return file if (file := root(start) / SHOP_FILE).is_file() else None


def is_catalog_name(lake: str) -> bool:
    """Return True for ``catalog.schema``; a folder with such a name is written ``./catalog.schema``."""
    return bool(CATALOG_NAME.fullmatch(lake))


def artifacts_dir(lake: str) -> str:
    """Return the folder of files beside the tables: the lake itself, or ``data/<name>`` for a catalog."""
    return absolute(f"data/{lake}", root()) if is_catalog_name(lake) else lake


def absolute(path: str, folder: Path | None = None) -> str:
    """Return an absolute path, or a URL as it is; a URL with a password raises SettingsError."""
    if "://" in path:
        return reject_credentials(path).rstrip("/")
    return str((folder or Path.cwd()).joinpath(Path(path).expanduser()).resolve())


def load_settings(**given: Any) -> Settings:
    """Return the settings that apply; values given here win, except None and empty texts, which count as not given.

    One SettingsError names every wrong setting, with the value found and what is allowed.

    Examples
    --------
    >>> import rfm
    >>> settings = rfm.load_settings(date="2025-10-23", lake="s3://shop/lake", shop={"currency": "€"})
    >>> settings.date, settings.lake, settings.shop.currency
    (datetime.date(2025, 10, 23), 's3://shop/lake', '€')
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value not in (None, "")})
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(part) for part in error.errors())) from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{shop_file()}: cannot be read ({error})") from None


def _sentence(error: Any) -> str:
    name = ".".join(str(part) for part in error["loc"]) or "settings"
    if error["type"] == "extra_forbidden":
        return f"setting {name}: there is no such setting{_meant(error['loc'])}"
    secret = any(name == one or one.startswith(f"{name}.") for one in SECRET_SETTINGS)
    found = hide(str(error["input"])) if secret else shown(error["input"])
    if error["type"].startswith("date"):
        return f"setting {name}: must be a date, YYYY-MM-DD, found {found}"
    return f"setting {name}: {error['msg'].removeprefix('Value error, ')}, found {found}"


def _meant(path: tuple[Any, ...]) -> str:
    section: Any = Settings
    for part in path[:-1]:
        section = section.model_fields[part].annotation
    close = get_close_matches(str(path[-1]), section.model_fields, 1)
    return f"; did you mean {'.'.join(map(str, (*path[:-1], *close)))}?" if close else ""
