"""Published figures of X5 RetailHero and of the earlier study of it, which the simulation is held against."""

# The public labels.
CONTROL_RATE, TREATED_RATE = 0.603280, 0.636511
EFFECT = 0.033231
# Mean and SD of X5's control group in the earlier study, the mean of products from the log; age is that of the ages
# without outliers.
CONTROL_MARGINALS = {
    "age": (46.46, 16.0),
    "products_per_order": (6.4, 3.9),
    "avg_paid_per_order": (494.55, 371.18),
    "avg_netto_per_order": (3.10, 2.65),
    "avg_regular_points_received_per_order": (4.58, 4.79),
    "express_points_received_per_order": (0.04, 0.49),
    "express_points_spent_per_order": (-0.66, 2.61),
    "avg_trademarks_per_order": (0.97, 0.77),
    "avg_alcohol_products_per_order": (0.10, 0.21),
    "brand_score": (0.43, 0.06),
    "fis_frd_dist": (224.39, 199.67),
    "fis_transformed": (728.46, 162.14),
    "frd_transformed": (504.07, 244.63),
    "is_weekend": (1.81, 1.80),
}
