-- Who the customer is, and the age of the loyalty card. What is dated on or after the campaign was not known then.
CREATE VIEW card AS
WITH known AS (
    SELECT
        client,
        if(age BETWEEN getvariable('youngest') AND getvariable('oldest'), age, NULL) AS age,
        upper(gender) AS gender,
        if(first_issue_date < getvariable('campaign'), first_issue_date, NULL) AS issued_at,
        if(first_redeem_date < getvariable('campaign'), first_redeem_date, NULL) AS redeemed_at
    FROM clients JOIN numbered USING (client_id)
)
SELECT
    client,
    age,
    CAST(gender IS NOT DISTINCT FROM 'F' AS INTEGER) AS gender_F,
    CAST(gender IS NOT DISTINCT FROM 'M' AS INTEGER) AS gender_M,
    CAST(gender IS NULL OR gender NOT IN ('F', 'M') AS INTEGER) AS gender_U,
    date_diff('second', issued_at, getvariable('campaign')) / 86400 AS fis_transformed,
    date_diff('second', redeemed_at, getvariable('campaign')) / 86400 AS frd_transformed,
    date_diff('second', issued_at, redeemed_at) / 86400 AS fis_frd_dist,
    CAST(redeemed_at IS NULL AS INTEGER) AS never_redeemed
FROM known;
