"""What examples and end-to-end tests share: processes, certificates, a collector of traces, a reader of captures.

Standard library only; the `openssl` command makes the certificates.
"""
