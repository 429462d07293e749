"""A team's own Python pipeline in a provider's place."""

from pilotage.upstream.pipeline.load import Unloadable, load
from pilotage.upstream.pipeline.upstream import PipelineUpstream

__all__ = ["PipelineUpstream", "Unloadable", "load"]
