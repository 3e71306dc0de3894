"""The way from noise to images."""

from pipeline import hookimpl


@hookimpl
def register_samplers() -> dict[str, str]:
    """Names and where their classes are."""
    return {
        "ddim": "pipeline_samplers.ddim:DDIM",
        "ddpm": "pipeline_samplers.ddpm:DDPM",
        "dpmpp_2m": "pipeline_samplers.dpmpp_2m:DPMpp2M",
        "dpmpp_2m_sde": "pipeline_samplers.dpmpp_2m_sde:DPMpp2MSDE",
        "euler_ancestral": "pipeline_samplers.euler_ancestral:EulerAncestral",
        "heun": "pipeline_samplers.heun:Heun",
        "unipc": "pipeline_samplers.unipc:UniPC",
    }
