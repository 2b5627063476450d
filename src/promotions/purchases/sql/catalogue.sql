-- What a receipt needs to know of a product, in whole numbers: their sums are exact. The department (level 1) with the
-- most products is number 1; a category (level 2) is a bit, shared if there are more than 64.
CREATE TABLE catalogue AS
WITH departments AS (
    SELECT level_1, row_number() OVER (ORDER BY count(*) DESC, level_1) AS department
    FROM products WHERE level_1 IS NOT NULL GROUP BY level_1
),
categories AS (
    SELECT level_2, 1::UBIGINT << CAST((row_number() OVER (ORDER BY level_2) - 1) % 64 AS UBIGINT) AS category
    FROM products WHERE level_2 IS NOT NULL GROUP BY level_2
),
brands AS (
    SELECT brand_id, count(*) AS size FROM products WHERE brand_id IS NOT NULL GROUP BY brand_id
),
-- How widespread a brand is: 0 for the only product of its name, 1 for the brand with the most products.
scores AS (
    SELECT brand_id, round(1e6 * ln(size) / nullif(ln(max(size) OVER ()), 0)) AS brand_score FROM brands
)
SELECT
    product_id,
    round(1000 * netto) AS grams,
    coalesce(is_own_trademark, 0) > 0 AS own,
    coalesce(is_alcohol, 0) > 0 AS alcohol,
    CAST(department AS INTEGER) AS department,
    category,
    brand_score
FROM products
LEFT JOIN departments USING (level_1)
LEFT JOIN categories USING (level_2)
LEFT JOIN scores USING (brand_id);
