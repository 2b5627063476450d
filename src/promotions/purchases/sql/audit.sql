-- What the tables hold that does not count, or should not be there.
CREATE VIEW log_audit AS
SELECT
    sum(lines) AS purchase_rows,
    sum(lines) FILTER (bought_at >= getvariable('campaign')) AS purchase_rows_after_campaign,
    sum(lines) FILTER (client IS NULL) AS purchase_rows_unknown_client,
    sum(unknown_products) AS purchase_rows_unknown_product,
    sum(lines) FILTER (bought_at IS NULL) AS undated,
    sum(lines) FILTER (unnumbered) AS unnumbered,
    count(*) AS receipts
FROM receipts;

CREATE VIEW client_audit AS
SELECT
    count(*) AS client_rows,
    count(*) FILTER (age NOT BETWEEN getvariable('youngest') AND getvariable('oldest')) AS ages_set_missing,
    count(*) FILTER (first_issue_date >= getvariable('campaign')) AS first_issues_after_campaign,
    count(*) FILTER (first_redeem_date >= getvariable('campaign')) AS first_redeems_after_campaign
FROM clients;
