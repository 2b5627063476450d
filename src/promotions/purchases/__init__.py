"""From a raw purchase log to one row of features a customer, out of core."""

from promotions.purchases.features import Features, customer_features
from promotions.purchases.raw import RawFile, find_file
from promotions.purchases.settings import Settings

__all__ = ["Features", "RawFile", "Settings", "customer_features", "find_file"]
