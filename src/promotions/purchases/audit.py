"""Rows of a retailer's files that are not used or must not be there: counted, reported, or a reason to stop."""

from promotions.base.errors import InputError
from promotions.purchases.raw import Connection, RawFile
from promotions.purchases.settings import Settings

# Counts that are a reason to stop and no result.
FATAL = {"undated": "transaction_datetime", "unnumbered": "transaction_id"}


def audit(
    connection: Connection, clients: RawFile, products: RawFile, purchases: RawFile, settings: Settings
) -> tuple[dict[str, int], list[str]]:
    """Counts of rows by what became of them, and sentences about those that are unexpected.

    Raises InputError, with file, column and rows, if the files do not belong together or nothing is left to count.
    """
    counts = _counts(connection, "log_audit") | _counts(connection, "client_audit")
    rows, size = counts["purchase_rows"], counts.pop("client_rows")
    if not rows:
        raise InputError(f"{purchases.name} has no rows; expected one row a product of a receipt")
    for name, column in FATAL.items():
        count = counts.pop(name)
        if count:
            raise InputError(f"{_where(purchases, column)} is missing in {_of(count, rows)}; complete or remove them")

    campaign = f"is on or after the campaign ({settings.campaign:%Y-%m-%d %H:%M})"
    later = f"{_where(purchases, 'transaction_datetime')} {campaign} in "
    if counts["purchase_rows_after_campaign"] == rows:
        raise InputError(f"{later}all {rows:,} rows; set data.x5.campaign_date to the day of the campaign")
    notes = []
    if counts["purchase_rows_unknown_client"]:
        what = (
            f"{_where(purchases, 'client_id')} holds clients that are not in {clients.name} in "
            f"{_of(counts['purchase_rows_unknown_client'], rows)} (such as {_stranger(connection)!r})"
        )
        if settings.unknown_clients == "stop":
            raise InputError(f"{what}; the two files do not belong together, or set data.x5.unknown_clients to drop")
        notes.append(f"{what}: left out")
    if counts["purchase_rows_after_campaign"]:
        notes.append(f"{later}{_of(counts['purchase_rows_after_campaign'], rows)}: not used")
    if counts["purchase_rows_unknown_product"]:
        notes.append(
            f"{_where(purchases, 'product_id')} holds products that are not in {products.name} in "
            f"{_of(counts['purchase_rows_unknown_product'], rows)}: bought, with nothing known about them"
        )
    low, high = settings.ages
    for name, column, what in (
        ("ages_set_missing", "age", f"lies outside {low:g} to {high:g}"),
        ("first_issues_after_campaign", "first_issue_date", campaign),
        ("first_redeems_after_campaign", "first_redeem_date", campaign),
    ):
        if counts[name]:
            notes.append(f"{_where(clients, column)} {what} in {_of(counts[name], size)}: set missing")
    return counts, notes


def _counts(connection: Connection, view: str) -> dict[str, int]:
    """The one row of a view, by column."""
    answer = connection.execute(f"SELECT * FROM {view}")
    names = [str(column[0]) for column in answer.description or ()]
    return {name: int(value or 0) for name, value in zip(names, answer.fetchall()[0], strict=True)}


def _stranger(connection: Connection) -> object:
    """A client of the log who is not in the table of clients."""
    unknown = "SELECT client_id FROM purchases ANTI JOIN numbered USING (client_id) LIMIT 1"
    return connection.execute(unknown).fetchall()[0][0]


def _where(file: RawFile, column: str) -> str:
    return f"{file.name}: column {column!r}"


def _of(count: int, rows: int) -> str:
    return f"{count:,} of {rows:,} rows"
