"""How the sales of each customer respond to each size of a discount, learned from the log that was not random.

reads   data/discount/{observational,randomised}.parquet, data/discount/roles.json
writes  data/discount/response.parquet (row, learner, level, sales, error, supported), metrics/discount/cate.json
"""

from pipeline import stage
from promotions.base.formatting import percentage
from promotions.discount.response.curves import Settings, design_levels, learn_responses


def main() -> None:
    """Nothing is fitted to a randomised customer: only their features and the design's levels are read."""
    settings = Settings.from_params(stage.section("discount", "response"))
    learners = stage.section("discount", "learners")
    roles = stage.read_json("data/discount/roles.json")
    log = stage.read_parquet("data/discount/observational.parquet")
    randomised = stage.read_parquet("data/discount/randomised.parquet")
    responses = learn_responses(
        log,
        randomised.drop(columns=["sales", "profit"]),
        design_levels(randomised["discount"].to_numpy(dtype=float)),
        roles["features"],
        roles["predictions"],
        learners,
        settings,
        stage.generator("discount_cate"),
        stage.threads(),
    )
    metrics = {**stage.label(roles["source"], roles["simulated"]), "n": len(log), **responses.metrics()}
    stage.write_parquet("data/discount/response.parquet", responses.curves.to_frame(randomised["row"].to_numpy()))
    stage.write_json("metrics/discount/cate.json", metrics)
    stage.say(
        f"{len(learners)} learners on {len(log):,} customers of the log; {responses.best} explains most of what is "
        f"held out ({percentage(responses.explained[responses.best], 1)}); left out, as the "
        "test's customers are unlike the log's: " + (", ".join(responses.left_out) or "nothing")
    )


if __name__ == "__main__":
    stage.run(main, __doc__)
