"""The queries that panels are made of."""

from deploy.grafana.panels import per_second, quantiles


def test_quantiles_are_over_all_instances() -> None:
    """With and without matchers: buckets are added before a quantile is taken of them."""
    assert quantiles("x_seconds") == (
        ("histogram_quantile(0.5, sum by (le) (rate(x_seconds_bucket[$__rate_interval])))", "p50"),
        ("histogram_quantile(0.99, sum by (le) (rate(x_seconds_bucket[$__rate_interval])))", "p99"),
    )
    assert 'rate(x_seconds_bucket{a="b"}[$__rate_interval])' in quantiles("x_seconds", 'a="b"')[0][0]


def test_a_rate_is_named_by_its_label() -> None:
    """The legend says which series is which."""
    assert per_second("x_total", "why") == ("sum by (why) (rate(x_total[$__rate_interval]))", "{{why}}")
