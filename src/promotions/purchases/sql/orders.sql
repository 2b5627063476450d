-- Receipts that may count: of a known client, strictly before the campaign.
CREATE VIEW orders AS
SELECT
    *,
    date_diff('second', bought_at, getvariable('campaign')) / 86400 AS days_ago,
    isodow(bought_at) AS weekday,
    hour(bought_at) AS hour
FROM receipts
WHERE client IS NOT NULL AND bought_at < getvariable('campaign');
