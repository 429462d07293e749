"""What the proxies of the benchmark are told: plain proxies where to pass requests on, Pilotage what to do on the way."""

from __future__ import annotations

PROMPT = "You answer questions of a shop's customers, shortly and kindly.\n"
TEMPLATE = PROMPT + "Their question: {{ question }}\n"

PLAIN = """
name = "bench"
owner = "bench"
[upstreams.canned]
base_url = "http://127.0.0.1:{port}/v1"
[variants.plain]
upstream = "canned"
model = "canned"
"""
EVERYTHING = """
name = "bench"
owner = "bench"
[upstreams.canned]
base_url = "http://127.0.0.1:{port}/v1"
[filters.personal]
kind = "personal_data"
action = "redact"
[budget]
a_day = 1_000_000.0
[limits]
key = {{ requests_a_minute = 100_000_000, tokens_a_minute = 1_000_000_000_000 }}
max_tokens = 1000
[data]
retention = "{retention}"
[variants.plain]
upstream = "canned"
model = "canned"
prompt = "prompt.md"
filters = ["personal"]
price = {{ input = 0.15, output = 0.60 }}
[variants.other]
upstream = "canned"
model = "canned"
prompt = "prompt.md"
filters = ["personal"]
price = {{ input = 0.15, output = 0.60 }}
"""
"""A budget, a limit a minute, personal data looked for in both directions, two variants to be assigned to users."""

NGINX = """
worker_processes 1; daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
worker_rlimit_nofile 65536;
events {{ worker_connections 32768; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; keepalive_requests 1000000; client_max_body_size 8m;
  upstream canned {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_pass http://canned; proxy_http_version 1.1;
    proxy_set_header Connection ""; proxy_buffering off; }} }} }}
"""
ENVOY = """
static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{ match: {{ prefix: "/" }}, route: {{ cluster: canned, timeout: 0s }} }}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: canned
    type: STATIC
    load_assignment:
      cluster_name: canned
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {upstream} }} }} }}
"""
