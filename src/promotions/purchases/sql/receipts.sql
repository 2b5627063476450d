-- One row a receipt: the only pass over the log. What a log repeats on every row of a receipt is taken once, what
-- belongs to a row is summed. Rows of unknown clients (client missing) and after the campaign are here to be counted.
--
-- Eight million receipts do not fit into memory, so every byte of a group counts: a sum of doubles is half as wide as
-- one of decimals, and exact as long as it adds whole numbers (ten-thousandths of a piece or of money, grams,
-- millionths). So the order of rows, and the number of threads, change nothing.
CREATE TABLE receipts AS
SELECT
    client,
    max(transaction_datetime) AS bought_at,
    max(hash(store_id)) AS store,
    max(purchase_sum) AS paid,
    max(regular_points_received) AS regular_received,
    max(express_points_received) AS express_received,
    -- Points spent are negative in the log.
    min(regular_points_spent) AS regular_spent,
    min(express_points_spent) AS express_spent,
    CAST(count(*) AS INTEGER) AS lines,
    sum(round(10000 * CAST(product_quantity AS DOUBLE))) AS quantity,
    sum(round(10000 * CAST(trn_sum_from_iss AS DOUBLE))) AS from_iss,
    sum(round(10000 * CAST(trn_sum_from_red AS DOUBLE))) AS from_red,
    sum(grams) AS grams,
    sum(brand_score) AS brand_score,
    CAST(count(brand_score) AS INTEGER) AS branded,
    CAST(count(*) FILTER (own) AS INTEGER) AS own,
    CAST(count(*) FILTER (alcohol) AS INTEGER) AS alcohol,
    CAST(count(*) FILTER (department = 1) AS INTEGER) AS department_1,
    CAST(count(*) FILTER (department = 2) AS INTEGER) AS department_2,
    -- A bit a category: 64 at most (X5 has 42 of level 2).
    bit_or(category) AS categories,
    CAST(count(*) FILTER (own IS NULL) AS INTEGER) AS unknown_products,
    transaction_id IS NULL AS unnumbered
FROM purchases
LEFT JOIN numbered USING (client_id)
LEFT JOIN catalogue USING (product_id)
GROUP BY client, transaction_id;
