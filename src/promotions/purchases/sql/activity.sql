-- Recency, frequency and money: over the whole log, and over the last 7, 30 and 90 days with their trends.
CREATE VIEW activity AS
WITH counted AS (
    SELECT
        client,
        count(*) AS n_orders,
        min(days_ago) AS days_since_last_order,
        max(days_ago) AS days_since_first_order,
        count(*) FILTER (days_ago <= 7) AS orders_last_7_days,
        count(*) FILTER (days_ago <= 30) AS orders_last_30_days,
        count(*) FILTER (days_ago <= 90) AS orders_last_90_days,
        coalesce(sum(paid), 0) AS paid_total,
        coalesce(sum(paid) FILTER (days_ago <= 7), 0) AS paid_last_7_days,
        coalesce(sum(paid) FILTER (days_ago <= 30), 0) AS paid_last_30_days,
        coalesce(sum(paid) FILTER (days_ago <= 90), 0) AS paid_last_90_days
    FROM orders GROUP BY client
)
SELECT
    *,
    (days_since_first_order - days_since_last_order) / nullif(n_orders - 1, 0) AS days_between_orders,
    orders_last_7_days / nullif(orders_last_30_days, 0) AS orders_share_7_of_30_days,
    orders_last_30_days / nullif(orders_last_90_days, 0) AS orders_share_30_of_90_days,
    CAST(paid_last_7_days AS DOUBLE) / nullif(CAST(paid_last_30_days AS DOUBLE), 0) AS paid_share_7_of_30_days,
    CAST(paid_last_30_days AS DOUBLE) / nullif(CAST(paid_last_90_days AS DOUBLE), 0) AS paid_share_30_of_90_days
FROM counted;
