-- What is in the basket: own brands, alcohol, brands, departments and categories.
CREATE VIEW assortment AS
SELECT
    client,
    sum(own) / sum(lines) AS avg_trademarks,
    sum(own) / count(*) AS avg_trademarks_per_order,
    sum(alcohol) / count(*) AS avg_alcohol_products_per_order,
    sum(alcohol) / sum(lines) AS alcohol_share,
    count(*) FILTER (alcohol > 0) / count(*) AS alcohol_order_share,
    sum(brand_score) / 1e6 / nullif(sum(branded), 0) AS brand_score,
    sum(department_1) / sum(lines) AS department_1_share,
    sum(department_2) / sum(lines) AS department_2_share,
    coalesce(bit_count(bit_or(categories)), 0) AS categories_bought,
    coalesce(sum(bit_count(categories)), 0) / count(*) AS categories_per_order,
    coalesce(sum(bit_count(categories)), 0) / sum(lines) AS categories_per_product
FROM orders GROUP BY client;
