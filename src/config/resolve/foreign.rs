//! Pomerium's keys that Vestibule does not have: harmless ones are ignored aloud, the others are refused.
//!
//! # Why
//! A Pomerium file should load. But whoever wrote `downstream_mtls` was protected by it, and must hear of the loss before
//! anything starts. The rule: if leaving a key out could let more people in or tell them more, it is refused.

use crate::config::section::{Foreign, Section};

const PROXY_ONLY: &str = "only a proxy needs this; ignored";
const NO_SWITCH: &str = "Vestibule has no such switch; ignored";
const NOT_YET: &str = "not supported yet; ignored";

/// Keys at the top.
pub(super) const TOP: Foreign = Foreign {
    ignored: &[
        (
            PROXY_ONLY,
            &[
                "access_log_fields",
                "authorize_log_fields",
                "authorize_service_url*",
                "authorize_internal_service_url*",
                "autocert*",
                "blob_storage",
                "certificate",
                "certificate_authority",
                "certificate_authority_file",
                "certificate_file",
                "certificate_key",
                "certificate_key_file",
                "certificates",
                "circuit_breaker_thresholds",
                "codec_type",
                "databroker_*",
                "debug_address",
                "default_upstream_timeout",
                "dns_*",
                "envoy_*",
                "global_upstream_*",
                "grpc_*",
                "health_check_*",
                "http_redirect_addr",
                "insecure_server",
                "installation_id",
                "mcp_*",
                "otel_*",
                "proxy_log_level",
                "set_response_headers",
                "skip_xff_append",
                "ssh_*",
                "timeout_*",
                "tracing_*",
                "use_proxy_protocol",
            ],
        ),
        (
            NO_SWITCH,
            &[
                "cookie_http_only",
                "cookie_name",
                "cookie_secret",
                "cookie_secret_file",
                "runtime_flags",
            ],
        ),
        (
            NOT_YET,
            &[
                "error_message_first_paragraph",
                "favicon_url",
                "forward_auth_url",
                "logo_url",
                "primary_color",
                "secondary_color",
            ],
        ),
    ],
    refused: &[
        (
            &[
                "downstream_mtls",
                "client_ca*",
                "client_crl*",
                "tls_downstream_*",
            ],
            "client certificates are not checked here",
            "let your proxy check them, then remove this key",
        ),
        (
            &["policy_file"],
            "routes are not read from a second file",
            "write them under `routes` in this file",
        ),
        (
            &["policies", "sub_policies"],
            "policies stand with their routes",
            "write them under `routes[].policy`",
        ),
        (
            &[
                "metrics_basic_auth",
                "metrics_certificate*",
                "metrics_client_ca*",
            ],
            "the metrics listener has no protection of its own",
            "keep metrics_address on 127.0.0.1 and remove this key",
        ),
        (
            &["xff_num_trusted_hops"],
            "hops are not counted here",
            "list your proxies in trusted_proxies",
        ),
        (
            &["remove_request_headers", "jwt_groups_filter"],
            "is not supported yet, and the application would be told more than was meant",
            "remove it, and filter at your proxy or provider",
        ),
        (
            &[
                "authenticate_internal_service_url",
                "authenticate_callback_path",
            ],
            "is not supported yet",
            "remove it",
        ),
    ],
};

/// Keys of a route.
pub(super) const ROUTE: Foreign = Foreign {
    ignored: &[(
        PROXY_ONLY,
        &[
            "allow_spdy",
            "allow_websockets",
            "circuit_breaker_thresholds",
            "depends_on",
            "description",
            "enable_google_cloud_serverless_authentication",
            "health_check*",
            "healthy_panic_threshold",
            "host_*",
            "id",
            "idle_timeout",
            "kubernetes_service_account_token",
            "kubernetes_service_account_token_file",
            "lb_*",
            "load_balancing_*",
            "logo_url",
            "name",
            "outlier_detection",
            "prefix_rewrite",
            "preserve_host_header",
            "redirect",
            "regex_rewrite_*",
            "response",
            "rewrite_response_headers",
            "set_request_headers",
            "set_response_headers",
            "show_error_details",
            "timeout",
            "tls_client_cert*",
            "tls_client_key*",
            "tls_custom_ca*",
            "tls_server_name",
            "tls_skip_verify",
            "tls_upstream_*",
            "to",
            "upstream_tunnel",
        ],
    )],
    refused: &[
        (
            &["tls_downstream_*"],
            "client certificates are not checked here",
            "let your proxy check them, then remove this key",
        ),
        (
            &["sub_policies", "policies", "policy_file"],
            "rules are read from `policy` alone",
            "write them under `policy`",
        ),
        (
            &["remove_*", "jwt_groups_filter"],
            "is not supported yet, and the application would be told more than was meant",
            "remove it, and filter at your proxy or provider",
        ),
        (
            &["regex_priority_order"],
            "routes are tried in the order of the file alone",
            "put the route where its turn is, then remove this key",
        ),
        (
            &["set_authorization_header"],
            "tokens of the provider are not passed on",
            "remove it",
        ),
        (
            &["identity_providers", "idp_*", "jwt_issuer_format", "mcp"],
            "is not supported yet for a single route",
            "remove it",
        ),
    ],
};

/// Whoever wrote `false` meant that an application is not told who came in. Here it always is.
pub(super) fn identity_headers(section: &mut Section<'_>) {
    if let Some(item) = section.take("pass_identity_headers") {
        match item.boolean() {
            Some(true) => item.note(PROXY_ONLY),
            Some(false) => item.problem(
                "applications are always told who came in",
                "remove it, and let your proxy drop the headers",
            ),
            None => {}
        }
    }
}

/// Keys of which one value is harmless and another is not.
pub(super) fn judge(root: &mut Section<'_>) {
    identity_headers(root);
    if let Some(item) = root.take("cookie_same_site") {
        match item.text().map(str::to_ascii_lowercase).as_deref() {
            Some("lax") => item.note(NO_SWITCH),
            Some(_) => item.problem("cookies are always SameSite=Lax", "remove it"),
            None => {}
        }
    }
}
