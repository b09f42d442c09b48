"""Recipes as configurations of other training stacks: one module a format, in absolute numbers."""

from smupar_transfer.transfer.exporters.exported import Export, Exported
from smupar_transfer.transfer.exporters.registry import EXPORTERS, export_plan, export_recipe, require_format

__all__ = ["EXPORTERS", "Export", "Exported", "export_plan", "export_recipe", "require_format"]
