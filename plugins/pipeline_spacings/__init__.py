"""Where the noise levels of a sampling are, between t = 1 and t = 0."""

from pipeline import hookimpl


@hookimpl
def register_spacings() -> dict[str, str]:
    """Names and where their classes are."""
    return {
        "karras": "pipeline_spacings.karras:Karras",
        "log_snr": "pipeline_spacings.log_snr:LogSNR",
        "uniform": "pipeline_spacings.uniform:Uniform",
    }
