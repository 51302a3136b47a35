"""Files that users send: their names, their types, and what is decoded from them.

Nothing here knows stores or HTTP. Pillow and pypdf run in processes of their own, never in the one that imports this.
"""
