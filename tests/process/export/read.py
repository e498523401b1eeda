"""Reads what layertop exports with other people's readers, and prints it as JSON: read.py otlp|openmetrics|markdown FILE."""
import json
import sys

kind, path = sys.argv[1:]
data = open(path, "rb").read()
if kind == "otlp":
    from google.protobuf.json_format import MessageToDict
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    request.ParseFromString(data)
    # A field that the messages do not know would be kept as such, and come out here.
    assert request.SerializeToString() and len(request.SerializeToString()) == len(data)
    found = MessageToDict(request)
elif kind == "openmetrics":
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    families = text_string_to_metric_families(data.decode())
    found = [
        {"name": f.name, "type": f.type, "unit": f.unit, "help": f.documentation,
         "samples": [{"labels": s.labels, "value": s.value} for s in f.samples]}
        for f in families
    ]
elif kind == "markdown":
    import cmarkgfm

    # GitHub's own parser, with HTML let through as GitHub does before it cleans it.
    found = {"html": cmarkgfm.github_flavored_markdown_to_html(data.decode(), options=cmarkgfm.cmark.Options.CMARK_OPT_UNSAFE)}
else:
    sys.exit(f"unknown kind {kind}")
json.dump(found, sys.stdout)
