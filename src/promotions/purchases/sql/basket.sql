-- Size of the basket and level of prices.
CREATE VIEW basket AS
SELECT
    client,
    avg(paid) AS avg_paid_per_order,
    max(paid) AS max_paid_per_order,
    sum(lines) / count(*) AS products_per_order,
    sum(quantity) / 10000 / count(*) AS quantity_per_order,
    coalesce(sum(grams), 0) / 1000 / count(*) AS avg_netto_per_order,
    CAST(sum(paid) AS DOUBLE) / sum(lines) AS paid_per_product,
    CAST(sum(paid) AS DOUBLE) / nullif(sum(grams) / 1000, 0) AS paid_per_kilogram,
    count(*) FILTER (lines <= 2) / count(*) AS small_basket_share
FROM orders GROUP BY client;
