"""Files in a bucket of S3, for Chatrack."""

from chatrack_s3_files.plugin import S3Files, S3FilesPlugin

__all__ = ["S3Files", "S3FilesPlugin"]
