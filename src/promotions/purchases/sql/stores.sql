-- Where: loyalty to a store.
CREATE VIEW stores AS
WITH visits AS (
    SELECT client, store, count(*) AS orders FROM orders WHERE store IS NOT NULL GROUP BY client, store
)
SELECT
    client,
    count(*) AS stores_visited,
    max(orders) / sum(orders) AS favourite_store_share
FROM visits GROUP BY client;
