"""Files in a container of Azure Blob Storage, for Chatrack."""

from chatrack_azure_files.account import Account
from chatrack_azure_files.plugin import AzureFiles, AzureFilesPlugin

__all__ = ["Account", "AzureFiles", "AzureFilesPlugin"]
