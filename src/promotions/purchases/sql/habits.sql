-- When: weekday and hour of the receipts (the log's own clock).
CREATE VIEW habits AS
SELECT
    client,
    coalesce(sum(lines) FILTER (weekday >= 6), 0) / count(*) AS is_weekend,
    count(*) FILTER (weekday >= 6) / count(*) AS weekend_order_share,
    count(*) FILTER (weekday = 1) / count(*) AS monday_share,
    count(*) FILTER (weekday = 2) / count(*) AS tuesday_share,
    count(*) FILTER (weekday = 3) / count(*) AS wednesday_share,
    count(*) FILTER (weekday = 4) / count(*) AS thursday_share,
    count(*) FILTER (weekday = 5) / count(*) AS friday_share,
    count(*) FILTER (weekday = 6) / count(*) AS saturday_share,
    count(*) FILTER (weekday = 7) / count(*) AS sunday_share,
    count(*) FILTER (hour < 6) / count(*) AS night_share,
    count(*) FILTER (hour BETWEEN 6 AND 11) / count(*) AS morning_share,
    count(*) FILTER (hour BETWEEN 12 AND 17) / count(*) AS afternoon_share,
    count(*) FILTER (hour >= 18) / count(*) AS evening_share,
    sum(hour) / count(*) AS mean_hour
FROM orders GROUP BY client;
