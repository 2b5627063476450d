-- Loyalty points, regular and express: how many an order, in how many orders, and when last.
CREATE VIEW points AS
SELECT
    client,
    avg(regular_received) AS avg_regular_points_received_per_order,
    avg(express_received) AS express_points_received_per_order,
    avg(regular_spent) AS regular_points_spent_per_order,
    avg(express_spent) AS express_points_spent_per_order,
    count(*) FILTER (regular_spent < 0) / count(*) AS regular_points_spent_order_share,
    count(*) FILTER (express_spent < 0) / count(*) AS express_points_spent_order_share,
    min(days_ago) FILTER (regular_received > 0) AS days_since_regular_points_received,
    min(days_ago) FILTER (express_received > 0) AS days_since_express_points_received,
    min(days_ago) FILTER (regular_spent < 0) AS days_since_regular_points_spent,
    min(days_ago) FILTER (express_spent < 0) AS days_since_express_points_spent,
    coalesce(sum(regular_received), 0) + coalesce(sum(regular_spent), 0) AS regular_points_saved,
    coalesce(sum(from_red), 0) / 10000 AS trn_sum_from_red,
    coalesce(sum(from_iss), 0) / 10000 AS trn_sum_from_iss
FROM orders GROUP BY client;
