"""A short run of `make fuzz`, always the same."""


def test_no_request_breaks_the_server(tmp_path):
    from tests.fuzz.run import Options, run  # with hypothesis, which every worker would import

    report = run(Options(requests=300, seed=1, fresh=False), tmp_path)
    assert not report.failures, "\n".join([report.summary, *report.failures[:10]])
    assert report.statuses.total() >= 300
    assert report.streams > 10
