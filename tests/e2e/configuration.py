"""Configuration of sidecars as Python values: the bootstrap, and resources made of their parts."""

TRUST_DOMAIN = "mesh.test"
TYPE = "type.googleapis.com/envoy."
MANAGER = TYPE + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def spiffe(account):
    return "spiffe://%s/ns/default/sa/%s" % (TRUST_DOMAIN, account)


def bootstrap(*resources, node="test", identity=None, log="all", workers=None, grace=5, admin_port=0, **more):
    document = {
        "node": {"id": node, "cluster": node},
        "admin": {"address": "127.0.0.1", "port": admin_port},
        "drain": {"grace_seconds": grace},
        "access_log": {"filter": log},
        "static_resources": list(resources),
    }
    if identity is not None:
        document["identity"] = identity
    if workers is not None:
        document["workers"] = workers
    document.update(more)
    return document


def identity_files(leaf, trust, trust_domain=TRUST_DOMAIN):
    return {"certificate": leaf.certificate, "key": leaf.key, "trust_bundle": trust, "trust_domain": trust_domain}


def route(cluster=None, prefix="/", path=None, timeout=None, **more):
    match = {"path": path} if path is not None else {"prefix": prefix}
    entry = {"match": match}
    if cluster is not None:
        entry["route"] = {"cluster": cluster}
        if timeout is not None:
            entry["route"]["timeout"] = timeout
    entry.update(more)
    return entry


def says(text, prefix="/", status=200):
    """A route that answers by itself."""
    return {"match": {"prefix": prefix}, "direct_response": {"status": status, "body": {"inline_string": text}}}


def host(name, domains, *routes):
    return {"name": name, "domains": list(domains), "routes": list(routes)}


def listener(name, *hosts, port=0, inbound=False, tls=None, codec=None, address="127.0.0.1", **manager):
    document = {
        "@type": MANAGER,
        "stat_prefix": name,
        "http_filters": [{"name": "envoy.filters.http.router",
                          "typed_config": {"@type": TYPE + "extensions.filters.http.router.v3.Router"}}],
        "route_config": {"name": name, "virtual_hosts": list(hosts)},
    }
    if codec is not None:
        document["codec_type"] = codec
    document.update(manager)
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": document}]}
    if tls is not None:
        chain["transport_socket"] = tls
    return {
        "@type": TYPE + "config.listener.v3.Listener",
        "name": name,
        "traffic_direction": "INBOUND" if inbound else "OUTBOUND",
        "address": {"socket_address": {"address": address, "port_value": port}},
        "filter_chains": [chain],
    }


def cluster(name, *ports, protocol=None, tls=None, **more):
    """`protocol`: None (HTTP/1.1), "http2" or "auto" (by ALPN)."""
    endpoints = [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
                 for port in ports]
    document = {
        "@type": TYPE + "config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}] if endpoints else []},
    }
    if protocol is not None:
        chosen = {"auto_config": {}} if protocol == "auto" else \
            {"explicit_http_config": {"http2_protocol_options": {}}}
        document["typed_extension_protocol_options"] = {
            PROTOCOL_OPTIONS: {"@type": "type.googleapis.com/" + PROTOCOL_OPTIONS, **chosen}}
    if tls is not None:
        document["transport_socket"] = tls
    document.update(more)
    return document


TCP_PROXY = TYPE + "extensions.filters.network.tcp_proxy.v3.TcpProxy"
INSPECTORS = [{"name": kind, "typed_config": {"@type": TYPE + "extensions.filters.listener.%s_inspector.v3.%sInspector"
                                              % (kind, kind.capitalize())}} for kind in ("tls", "http")]


def tcp_chain(to, match=None, tls=None, **proxy):
    """A filter chain that carries connections as they are, to a cluster."""
    document = {"@type": TCP_PROXY, "stat_prefix": to, "cluster": to, **proxy}
    chain = {"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": document}]}
    if match is not None:
        chain["filter_chain_match"] = match
    if tls is not None:
        chain["transport_socket"] = tls
    return chain


def tcp_listener(name, *chains, port=0, inbound=False, address="127.0.0.1", **more):
    document = {
        "@type": TYPE + "config.listener.v3.Listener",
        "name": name,
        "traffic_direction": "INBOUND" if inbound else "OUTBOUND",
        "address": {"socket_address": {"address": address, "port_value": port}},
        "filter_chains": list(chains),
    }
    document.update(more)
    return document


def sniffing_listener(name, *hosts, to, port=0, **more):
    """HTTP is routed to the hosts; all else is carried to the cluster `to` as it is."""
    document = listener(name, *hosts, port=port)
    document["filter_chains"][0]["filter_chain_match"] = {"application_protocols": ["http/1.0", "http/1.1", "h2c"]}
    document["default_filter_chain"] = tcp_chain(to)
    document["listener_filters"] = INSPECTORS
    document["listener_filters_timeout"] = "0.05s"
    document["continue_on_listener_filters_timeout"] = True
    document.update(more)
    return document


def transport_socket(kind, document):
    return {"name": "envoy.transport_sockets.tls",
            "typed_config": {"@type": TYPE + "extensions.transport_sockets.tls.v3." + kind, **document}}


def server_tls():
    """Mutual TLS with the workload's own identity, for a listener."""
    return transport_socket("DownstreamTlsContext", {
        "require_client_certificate": True,
        "common_tls_context": {"tls_certificate_sds_secret_configs": [{"name": "default"}],
                               "validation_context_sds_secret_config": {"name": "ROOTCA"}}})


def client_tls(expected, sni="peer"):
    """Mutual TLS with the workload's own identity, towards a peer of exactly that SPIFFE ID."""
    return transport_socket("UpstreamTlsContext", {
        "sni": sni,
        "common_tls_context": {
            "tls_certificate_sds_secret_configs": [{"name": "default"}],
            "combined_validation_context": {
                "default_validation_context": {
                    "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": expected}}]},
                "validation_context_sds_secret_config": {"name": "ROOTCA"}}}})
