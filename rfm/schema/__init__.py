"""Every table as a pandera model: columns, types, nulls, bounds, units and key; the docstring says what one row is.

Importing pandera takes half a second, so only a frame that may break its contract, the tests and the reference import this
package. `rfm.contracts` reads the same description from `schema.json`, which `python tests/test_docs.py` writes.
"""

from __future__ import annotations

import polars as pl
from pandera.polars import Field

from rfm.schema import lines
from rfm.schema.lines import CURRENCY, CUSTOMERS, DAYS, INVOICES, PERCENT, PROCESSING_DATE, ROWS, SOURCE_FILE, Money, TableModel

CAMPAIGN = Field(description="name of the campaign")
CLUSTER = Field(ge=-3, description="0, 1, … by falling median Monetary; -1, -2, -3 are outliers")
CUSTOMER = Field(description="the customer")
EXPLANATION = Field(description="the median customer, and the cut-offs that give the segment")
RECOMMENDATION = Field(description="recommended action")
SEGMENT = Field(description="segment")
TIER = Field(description="group of segments: premium, high value, active engagement, risk, growth and new")
UPDATE_DATE = Field(description="run date")


class CustomerRfmGold(TableModel, name="customer_rfm_gold", unique=["CustomerID"]):
    """A customer as of the run date."""

    CustomerID: pl.String = CUSTOMER
    MaxInvoiceDate: pl.Date = Field(description="last purchase")
    Recency: pl.Int32 = Field(ge=0, metadata=DAYS, description="days from the last purchase to the run date; low is good")
    Frequency: pl.Int32 = Field(ge=1, metadata=INVOICES, description="distinct invoices")
    Monetary: Money = Field(ge=0, metadata=CURRENCY, description="sum of TotalPrice, exact")


class CustomerRfmKmeansClustered(CustomerRfmGold, name="customer_rfm_kmeans_clustered", unique=["CustomerID"]):
    """A customer as of the run date."""

    Cluster: pl.Int32 = CLUSTER
    UpdateDate: pl.Date = UPDATE_DATE


class CustomerRfmKmeansClusteredHistory(
    CustomerRfmKmeansClustered, name="customer_rfm_kmeans_clustered_history", unique=["CustomerID", "UpdateDate"]
):
    """A customer on a run date."""

    Cluster_Description: pl.String = SEGMENT


class ClusterModels(TableModel, name="cluster_models", unique=["UpdateDate"]):
    """A run date."""

    UpdateDate: pl.Date = UPDATE_DATE
    k: pl.Int32 = Field(ge=1, description="number of clusters")
    model: pl.String = Field(description="JSON: scaler, centroids, scores of every k tried, code version")


class FitExclusions(TableModel, name="fit_exclusions", unique=["CustomerID", "UpdateDate", "Reason"]):
    """A customer kept out of the fit on a run date, and a reason."""

    CustomerID: pl.String = CUSTOMER
    UpdateDate: pl.Date = UPDATE_DATE
    Reason: pl.String = Field(description="bulk order or test transaction, as defined in [exclusions]")
    Invoices: pl.Int64 = Field(ge=1, metadata=INVOICES, description="invoices that give the reason")
    Amount: Money = Field(ge=0, metadata=CURRENCY, description="total of these invoices, exact")


class SegmentMovement(TableModel, name="segment_movement", unique=["UpdateDate", "Days", "From_Segment", "To_Segment"]):
    """A move from one segment to another over a period."""

    UpdateDate: pl.Date = UPDATE_DATE
    Days: pl.Int32 = Field(metadata=DAYS, description="length of the period: 1, 7 or 30")
    Since: pl.Date = Field(description="run date that it is compared with")
    From_Segment: pl.String = Field(description="segment then; empty for new customers")
    To_Segment: pl.String = Field(description="segment now")
    Customers: pl.Int64 = Field(ge=0, metadata=CUSTOMERS, description="customers who moved this way, or stayed")
    Revenue: Money = Field(ge=0, metadata=CURRENCY, description="sum of their Monetary today, exact")
    Bought: pl.Int64 = Field(ge=0, metadata=CUSTOMERS, description="of those who changed segment: bought since")
    TimePassed: pl.Int64 = Field(ge=0, metadata=CUSTOMERS, description="did not buy; the earlier model too gives today's segment")
    ModelChanged: pl.Int64 = Field(ge=0, metadata=CUSTOMERS, description="did not buy; the earlier model gives another segment")


class SegmentStability(TableModel, name="segment_stability", unique=["UpdateDate"]):
    """A run date."""

    UpdateDate: pl.Date = UPDATE_DATE
    Method: pl.String = Field(description="full: fitted from scratch; warm: started from the model of the run before")
    FittedOn: pl.Date = Field(description="run date of the last full fit")
    Previous: pl.Date = Field(nullable=True, description="run date that it is compared with")
    k: pl.Int32 = Field(ge=1, description="number of clusters")
    KMargin: pl.Float64 = Field(nullable=True, description="score of k above the best other k, as a share; below 0: k is kept")
    Compared: pl.Int64 = Field(ge=0, metadata=CUSTOMERS, description="customers without a purchase since")
    Renamed: pl.Int64 = Field(ge=0, metadata=CUSTOMERS, description="of them, those with another segment")
    RenamedShare: pl.Float64 = Field(nullable=True, ge=0, le=1, description="Renamed / Compared")
    AdjustedRand: pl.Float64 = Field(nullable=True, ge=-1, le=1, description="of their clusters then and now; 1: the same")
    Drift: pl.Float64 = Field(nullable=True, ge=0, description="largest move of a centroid since, in standard deviations")
    Silhouette: pl.Float64 = Field(ge=-1, le=1, description="mean silhouette of the published clusters, without outliers")


class ClusterSummary(TableModel, name="cluster_summary", unique=["Cluster"]):
    """A cluster."""

    Cluster: pl.Int32 = CLUSTER
    Count: pl.Int64 = Field(ge=1, metadata=CUSTOMERS, description="customers")
    AverageMonetary: pl.Float64 = Field(metadata=CURRENCY, description="average Monetary, rounded to 2")
    MedianMonetary: pl.Float64 = Field(metadata=CURRENCY, description="median Monetary, rounded to 2")
    AverageFrequency: pl.Float64 = Field(metadata=INVOICES, description="average Frequency, rounded to 2")
    MedianFrequency: pl.Float64 = Field(metadata=INVOICES, description="median Frequency, rounded to 2")
    AverageRecency: pl.Float64 = Field(metadata=DAYS, description="average Recency, rounded to 2")
    MedianRecency: pl.Float64 = Field(metadata=DAYS, description="median Recency, rounded to 2")


class ClusterDescriptionAndRecommendation(ClusterSummary, name="cluster_description_and_recommendation", unique=["Cluster"]):
    """A cluster."""

    Cluster_Description: pl.String = SEGMENT
    Tier: pl.String = TIER
    Cluster_Recommendation: pl.String = RECOMMENDATION
    Cluster_Label: pl.String = Field(description="segment, with the kind of outlier or a number where clusters share it")
    Explanation: pl.String = EXPLANATION


class CustomerRfmDescriptionAndRecommendation(
    CustomerRfmKmeansClusteredHistory, name="customer_rfm_description_and_recommendation", unique=["CustomerID"]
):
    """A customer as of the run date."""

    Tier: pl.String = TIER
    Cluster_Recommendation: pl.String = RECOMMENDATION


class SegmentSummary(TableModel, name="segment_summary", unique=["Cluster_Description"]):
    """A segment."""

    Cluster_Description: pl.String = SEGMENT
    Tier: pl.String = TIER
    Customers: pl.Int64 = Field(ge=1, metadata=CUSTOMERS, description="customers")
    AverageMonetary: pl.Float64 = Field(metadata=CURRENCY, description="average Monetary, rounded to 2")
    MedianMonetary: pl.Float64 = Field(metadata=CURRENCY, description="median Monetary, rounded to 2")
    AverageFrequency: pl.Float64 = Field(metadata=INVOICES, description="average Frequency, rounded to 2")
    MedianFrequency: pl.Float64 = Field(metadata=INVOICES, description="median Frequency, rounded to 2")
    AverageRecency: pl.Float64 = Field(metadata=DAYS, description="average Recency, rounded to 2")
    MedianRecency: pl.Float64 = Field(metadata=DAYS, description="median Recency, rounded to 2")
    CustomerShare: pl.Float64 = Field(ge=0, le=1, description="share of all customers")
    Revenue: Money = Field(ge=0, metadata=CURRENCY, description="sum of Monetary, exact")
    RevenueShare: pl.Float64 = Field(ge=0, le=1, description="share of all revenue")
    Cluster_Recommendation: pl.String = RECOMMENDATION
    Explanation: pl.String = EXPLANATION


class CustomerSegmentations(TableModel, name="customer_segmentations", unique=["CustomerID"]):
    """A customer as of the run date."""

    CustomerID: pl.String = CUSTOMER
    UpdateDate: pl.Date = UPDATE_DATE
    Segment: pl.String = Field(description="segment of the cluster")
    ValueTier: pl.String = Field(description="High, Growing or Base, by the monetary cut-offs")
    Engagement: pl.String = Field(description="Active & Engaged, At Risk, Developing or Inactive, by recency and frequency")
    RScore: pl.Int32 = Field(ge=1, le=5, description="Recency score, 5 is best")
    FScore: pl.Int32 = Field(ge=1, le=5, description="Frequency score, 5 is best")
    MScore: pl.Int32 = Field(ge=1, le=5, description="Monetary score, 5 is best")
    RFMScore: pl.String = Field(description="the three scores as digits, e.g. 545")
    ScoreName: pl.String = Field(description="one of the eleven usual names for the scores")


class SegmentationAgreement(TableModel, name="segmentation_agreement", unique=["UpdateDate", "First", "Second"]):
    """Two ways to segment, on a run date."""

    UpdateDate: pl.Date = UPDATE_DATE
    First: pl.String = Field(description="segments (of the clusters), tiers (value and engagement) or scores (their names)")
    Second: pl.String = Field(description="segments (of the clusters), tiers (value and engagement) or scores (their names)")
    AdjustedRand: pl.Float64 = Field(ge=-1, le=1, description="adjusted Rand index: 1 the same groups, 0 as expected by chance")
    SameShare: pl.Float64 = Field(ge=0, le=1, description="share of customers in the main Second group of their First group")


class CustomerExplanations(TableModel, name="customer_explanations", unique=["CustomerID"]):
    """A customer as of the run date."""

    CustomerID: pl.String = CUSTOMER
    UpdateDate: pl.Date = UPDATE_DATE
    Why: pl.String = Field(description="why the customer is in this segment, and what would change that")
    Next_Segment: pl.String = Field(nullable=True, description="segment of the nearest cluster of another one; null for outliers")
    Distance: pl.Float64 = Field(
        nullable=True, ge=-1, le=1, description="to it: 0 on the border, 1 at the own centre, < 0 beyond"
    )


class CustomerStates(TableModel, name="customer_states", unique=["CustomerID"]):
    """A customer as of the run date."""

    CustomerID: pl.String = CUSTOMER
    UpdateDate: pl.Date = UPDATE_DATE
    Segment: pl.String = Field(description="segment of the cluster")
    State: pl.String = Field(description="new, active, won back, cooling, at risk or lost, by the customer's own numbers")
    FirstPurchase: pl.Date = Field(description="first purchase")
    PurchaseDays: pl.Int32 = Field(ge=1, metadata=DAYS, description="distinct days with a purchase")
    UsualGap: pl.Float64 = Field(ge=0, metadata=DAYS, description="median days between purchase days")
    OwnGap: pl.Boolean = Field(description="true: of the customer; false: of customers with as many purchase days who came back")
    Overdue: pl.Float64 = Field(ge=0, description="Recency in usual gaps, each of at least [states] shortest_gap days")
    Rhythm: pl.String = Field(description="usual gap and silence in words")
    OwnSegment: pl.String = Field(description="segment that the customer's own numbers give by the decision table")
    UsualSpend: pl.Float64 = Field(ge=0, metadata=CURRENCY, description="usual spend within 90 days, rounded to 2")
    AtStake: pl.Float64 = Field(
        ge=0, metadata=CURRENCY, description="expected loss: spend expected a month ago less now; without a forecast UsualSpend"
    )
    ToCall: pl.Boolean = Field(description="worth keeping, and cooling, at risk or lost")
    Action: pl.String = Field(description="recommended action for segment and state")


class CustomerForecast(TableModel, name="customer_forecast", unique=["CustomerID"]):
    """A customer as of the run date; none while the shop is too young for a forecast."""

    CustomerID: pl.String = CUSTOMER
    UpdateDate: pl.Date = UPDATE_DATE
    Order30: pl.Float64 = Field(ge=0, le=1, description="probability of an order within 30 days")
    Order60: pl.Float64 = Field(ge=0, le=1, description="probability of an order within 60 days")
    Orders90: pl.Float64 = Field(ge=0, description="expected orders within 90 days")
    Spend90: pl.Float64 = Field(ge=0, metadata=CURRENCY, description="expected spend within 90 days, rounded to 2")
    Spend90Before: pl.Float64 = Field(
        nullable=True, ge=0, metadata=CURRENCY, description="the same 30 days earlier; null for customers who came later"
    )
    Drivers: pl.String = Field(description="what most raises or lowers the probability of an order")


class ForecastReliability(TableModel, name="forecast_reliability", unique=["UpdateDate", "Way", "Band"]):
    """A way to forecast and a band of probability; forecasts of 30 days before the run date."""

    UpdateDate: pl.Date = UPDATE_DATE
    Way: pl.String = Field(description="forecast, or a simpler way beside it")
    Band: pl.Float64 = Field(ge=0, lt=1, description="lower end of the band of probability, which is 0.1 wide")
    Customers: pl.Int32 = Field(ge=1, metadata={"unit": "customers"}, description="customers with a forecast in the band")
    Forecast: pl.Float64 = Field(ge=0, le=1, description="their mean probability of an order within 30 days")
    Actual: pl.Float64 = Field(ge=0, le=1, description="share of them who ordered within 30 days")


class StateMigration(TableModel, name="state_migration", unique=["Since", "From_State", "To_State"]):
    """A way from state to state within 30 days; of the run date, and of 30 days before it. None while the shop is too young."""

    UpdateDate: pl.Date = UPDATE_DATE
    Since: pl.Date = Field(description="day of From_State; To_State is that of 30 days later")
    From_State: pl.String = Field(description="state on the day")
    To_State: pl.String = Field(description="state 30 days later")
    Pairs: pl.Int32 = Field(ge=0, metadata=CUSTOMERS, description="how often customers went this way, in the newest three steps")
    Share: pl.Float64 = Field(ge=0, le=1, description="Pairs / Pairs of all ways from From_State; where there are none, all stay")
    Customers: pl.Float64 = Field(ge=0, metadata=CUSTOMERS, description="expected: customers in From_State × Share, rounded to 2")
    Revenue: pl.Float64 = Field(
        ge=0, metadata=CURRENCY, description="expected: their spend so far × share of the spend in Pairs, rounded to 2"
    )
    Came: pl.Int32 = Field(nullable=True, ge=0, metadata=CUSTOMERS, description="customers who went this way; null if to come")
    CameRevenue: pl.Float64 = Field(nullable=True, ge=0, metadata=CURRENCY, description="their spend up to the day Since")


class Campaigns(TableModel, name="campaigns", unique=["Campaign"]):
    """A campaign: who was chosen on a day, and what such a list can find."""

    Campaign: pl.String = CAMPAIGN
    Start: pl.Date = Field(description="run date whose customers were drawn; the window begins on the next day")
    Ends: pl.Date = Field(description="last day of the window, set before the start")
    Holdout: pl.Float64 = Field(ge=0, le=1, description="share of the customers who are held out")
    Selection: pl.String = Field(description="options that chose the customers")
    Customers: pl.Int32 = Field(ge=0, metadata=CUSTOMERS, description="customers in both arms")
    Expected: pl.Float64 = Field(ge=0, le=1, description="expected share of buyers in the window without the campaign")
    Smallest: pl.Float64 = Field(ge=0, description="smallest change of this share that is found four times in five")
    Closed: pl.Date = Field(nullable=True, description="run date from which it is no longer measured")


class CampaignMembers(TableModel, name="campaign_members", unique=["Campaign", "CustomerID"]):
    """A customer in a campaign."""

    Campaign: pl.String = CAMPAIGN
    CustomerID: pl.String = CUSTOMER
    Arm: pl.String = Field(description="written to, or held out")
    OrderExpected: pl.Float64 = Field(ge=0, le=1, description="probability of an order in the window, before the start")
    SpendExpected: pl.Float64 = Field(ge=0, metadata=CURRENCY, description="expected spend in the window, before the start")


class CampaignResults(TableModel, name="campaign_results", unique=["Campaign", "UpdateDate", "Measure"]):
    """A measure of a campaign on a run date, per customer."""

    Campaign: pl.String = CAMPAIGN
    UpdateDate: pl.Date = UPDATE_DATE
    Measure: pl.String = Field(description="Bought (1 or 0), Orders or Revenue")
    Written: pl.Float64 = Field(description="mean of those written to")
    HeldOut: pl.Float64 = Field(description="mean of those held out")
    Uplift: pl.Float64 = Field(nullable=True, description="difference, adjusted by the forecast; only once the window is over")
    Low: pl.Float64 = Field(nullable=True, description="lower end of its 95 % interval")
    High: pl.Float64 = Field(nullable=True, description="upper end of its 95 % interval")


class BronzeDailyQuality(TableModel, name="bronze_daily_quality", unique=["processing_date"]):
    """A processing date."""

    processing_date: pl.Date = PROCESSING_DATE
    total_records: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows")
    files_processed: pl.Int64 = Field(ge=0, metadata={"unit": "files"}, description="files they came from")
    distinct_invoice_date: pl.Int64 = Field(ge=0, metadata=DAYS, description="distinct invoice dates")
    valid_records: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows that fit the header")
    null_invoices: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows without invoice")
    null_stock_codes: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows without stock code")
    null_customer_ids: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows without customer")
    bad_quantities: pl.Int64 = Field(ge=0, metadata=ROWS, description="quantity 0 or below, not a return")
    bad_price: pl.Int64 = Field(ge=0, metadata=ROWS, description="price below 0")
    rescued_data_quality_score: pl.Float64 = Field(ge=0, le=100, metadata=PERCENT, description="100 × valid / total, 2 decimals")


class DailyCounts(TableModel, name="daily_counts", unique=["InvoiceDate", "layer", "processing_date"]):
    """An invoice date in a layer, by the run that ingested its rows."""

    InvoiceDate: pl.Date = Field(nullable=True, description="day of the sale; null where it could not be read")
    layer: pl.String = Field(description="bronze or silver")
    processing_date: pl.Date = PROCESSING_DATE
    total_records: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows")


class BronzeSilverDqComparison(TableModel, name="bronze_silver_dq_comparison", unique=["processing_date", "layer"]):
    """A processing date in a layer."""

    processing_date: pl.Date = PROCESSING_DATE
    layer: pl.String = Field(description="bronze or silver")
    total_records: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows")
    null_invoice: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows without invoice")
    bad_invoice: pl.Int64 = Field(ge=0, metadata=ROWS, description="invoice of another form")
    null_stock_code: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows without stock code")
    null_quantity: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows without quantity")
    bad_quantity: pl.Int64 = Field(ge=0, metadata=ROWS, description="quantity 0 or below, not a return")
    null_invoice_date: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows without invoice date")
    bad_price: pl.Int64 = Field(ge=0, metadata=ROWS, description="price below 0")
    null_customer_id: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows without customer")


class ExpectationResults(TableModel, name="expectation_results", unique=["processing_date", "expectation"]):
    """An expectation on a processing date."""

    processing_date: pl.Date = PROCESSING_DATE
    expectation: pl.String = Field(description="name of the rule")
    severity: pl.String = Field(description="drop, warn or fail")
    checked: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows that were checked")
    failed: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows that break the rule")


class QualityMetrics(TableModel, name="quality_metrics", unique=["processing_date", "metric", "column"]):
    """A measure of a column on a processing date."""

    processing_date: pl.Date = PROCESSING_DATE
    metric: pl.String = Field(description="completeness: non-null values; dropped, repeated_lines, repeated_keys: rows")
    column: pl.String = Field(description="measured column, * for the whole line")
    checked: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows that were checked")
    counted: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows that were counted")
    value: pl.Float64 = Field(ge=0, le=1, description="counted / checked")


class DailyVolume(TableModel, name="daily_volume", unique=["InvoiceDate", "source_file", "processing_date"]):
    """An invoice date in a landing file, lines that silver took."""

    InvoiceDate: pl.Date = Field(description="day of the sale")
    source_file: pl.String = SOURCE_FILE
    processing_date: pl.Date = PROCESSING_DATE
    lines: pl.Int64 = Field(ge=0, metadata=ROWS, description="invoice lines")
    invoices: pl.Int64 = Field(ge=0, metadata=INVOICES, description="distinct invoices")
    customers: pl.Int64 = Field(ge=0, metadata=CUSTOMERS, description="distinct customers")
    revenue: Money = Field(metadata=CURRENCY, description="sum of TotalPrice, exact")


MODELS = {
    str(one.Config.name): one
    for one in [*vars(lines).values(), *vars().values()]
    if isinstance(one, type) and issubclass(one, TableModel) and one.Config.name and one is not TableModel
}
"""The models by the name of their table, in the order of the road."""
