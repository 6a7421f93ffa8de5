"""Logs of plays: the documented schema of an operator's own, and the readers of others.

| module | what is in it |
|---|---|
| `plays` | `PlaysLog`, and how it is read and written |
| `columns` | rows of text or numbers become checked columns |
| `tables` | CSV and Parquet files, in pieces |
"""
