"""The end-to-end driver's `check`, with manifests of bundles compared by their values.

The driver holds the texts of CSVs against those of today's service, which writes a file anew when it changes one. We
change the file in its text (ADR 25): what has to be equal is what OLM reads in it, each scalar with its type.

A service that is spoken to over HTTP has its own settings: its reasons begin with those of today's service, and go on
with what the reference does not say (ADR 30). A command (`cmd:`) leaves that out, and its reasons are held as they are.

Called with the driver's folder and then as `bench.py check` is.
"""

import os
import re
import sys

import yaml

sys.path.insert(0, sys.argv[1])
import bench  # noqa: E402


def values(text):
    """The document as nested lists, each scalar with the type that it is read as; aliases are followed."""
    def of(node):
        if isinstance(node, yaml.MappingNode):
            return ['map', sorted([of(key), of(value)] for key, value in node.value)]
        if isinstance(node, yaml.SequenceNode):
            return ['list', [of(item) for item in node.value]]
        return [node.tag, node.value]
    # The driver's placeholders would be mappings.
    text = re.sub(r'\{(registry|request-id|hex|digest:[^{}]*)\}', r'<\1>', text)
    return of(yaml.compose(text, Loader=yaml.SafeLoader))


texts = bench.differences


# What a reason goes on with, after the sentence of the reference.
ADVICE = re.compile(r'( -)?( [A-Z][^\n]*[.?])? The [a-z_ ]+ read was \S+[^\n]*')


def goes_on(want, got):
    over_http = os.environ.get('E2E_SUBJECT', '').startswith('http:')
    return over_http and want and got.startswith(want) and ADVICE.fullmatch(got, len(want)) is not None


def differences(want, got, path='$'):
    both = isinstance(want, str) and isinstance(got, str)
    if both and path.endswith('.state_reason') and goes_on(want, got):
        return
    if both and path.endswith('.yaml.text'):
        if values(want) != values(got):
            yield from texts(want, got, path)
    else:
        yield from texts(want, got, path)


bench.differences = differences
sys.argv = ['bench.py', 'check', *sys.argv[2:]]
sys.exit(bench.main())
