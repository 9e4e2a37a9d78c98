"""The dashboard of the programs."""

from deploy.grafana.programs import PROGRAMS


def test_what_a_program_takes_is_shown_by_tier() -> None:
    """CPU, memory and file descriptors, of what bears a tier: not of other programs that Prometheus scrapes."""
    (_, takes) = PROGRAMS.rows

    assert [panel.title for panel in takes.panels] == ["CPU", "Memory", "File descriptors"]
    assert all("by (tier)" in panel.queries[0].expr and 'tier=~".+"' in panel.queries[0].expr for panel in takes.panels)
