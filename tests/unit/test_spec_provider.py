"""Providers by data: what a release carries of them, and what `check` says of those that nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotage.errors import FaultyFile, WrongCall
from pilotage.spec import snapshot
from pilotage.spec.folder import FILE, Folder
from pilotage.spec.load import load
from pilotage.spec.provider import providers
from pilotage.spec.release import Release
from pilotage.upstream.quirks import adapt

HEAD = 'name = "support"\nowner = "Jane"\n'
VARIANT = '[variants.a]\nupstream = "mine"\nmodel = "m"\n'


def made(upstream: str, *, variant: str = VARIANT, **environment: str) -> Release:
    folder = Folder({FILE: f"{HEAD}{upstream}\n{variant}".encode()})
    (release,) = snapshot.releases(load(folder), folder, lambda name: environment.get(name, ""))
    return release


def faults(upstream: str) -> str:
    with pytest.raises(FaultyFile) as raised:
        load(Folder({FILE: f"{HEAD}{upstream}\n{VARIANT}".encode()}))
    return "\n".join(raised.value.faults)


def test_every_row_names_an_address_or_an_example_and_renames_nothing_to_what_it_drops() -> None:
    for name, provider in providers().items():
        assert provider.base_url.startswith(("https://", "http://127.0.0.1:")) or provider.example, name
        assert not (provider.base_url and provider.example), name
        assert provider.dialect in ("openai", "anthropic"), name
        assert not set(provider.renames.values()) & {*provider.drops, *provider.renames}, name
        assert provider.auth == provider.auth.lower()


@pytest.mark.parametrize("name", [name for name, provider in providers().items() if provider.base_url])
def test_a_provider_needs_only_its_name(name: str) -> None:
    address = made(f'[upstreams.mine]\nprovider = "{name}"').upstream
    assert (address.provider, address.base_url) == (name, providers()[name].base_url)
    assert address.api_key_env == providers()[name].api_key_env


def test_what_the_file_says_wins_over_what_is_known() -> None:
    text = '[upstreams.mine]\nprovider = "mistral"\nbase_url = "http://h/v1"\napi_key_env = "MY_API_KEY"'
    address = made(text).upstream
    assert (address.base_url, address.api_key_env) == ("http://h/v1", "MY_API_KEY")
    assert ("seed", "random_seed") in address.renames
    assert not address.stream_usage


def test_a_plain_address_supposes_nothing() -> None:
    address = made('[upstreams.mine]\nbase_url = "http://h/v1"').upstream
    assert (address.kind, address.auth, address.renames, address.drops) == ("openai", "bearer", (), ())


@pytest.mark.parametrize(
    ("upstream", "says"),
    [
        ('[upstreams.mine]\nprovider = "mistrl"', "did you mean 'mistral'?"),
        ('[upstreams.mine]\nprovider = "zzz"', "known here: anthropic, azure, bedrock"),
        ('[upstreams.mine]\nprovider = "azure"', "https://RESOURCE.openai.azure.com/openai/v1"),
        ("[upstreams.mine]\nconnect_timeout = '2s'", "has no address; write base_url"),
        ('[upstreams.mine]\nprovider = "mistral"\nkind = "anthropic"', "kind is what its provider says already"),
    ],
)
def test_what_is_wrong_with_a_provider_is_said_with_what_would_be_right(upstream: str, says: str) -> None:
    assert says in faults(upstream)


def test_the_digest_of_the_built_in_openai_covers_where_it_is_served() -> None:
    variant = '[variants.a]\nupstream = "openai"\nmodel = "m"\n'
    own, here, there = (made("", variant=variant, OPENAI_BASE_URL=url) for url in ("", "http://h:1/v1/", "http://i/v1"))
    assert own.upstream.base_url == "https://api.openai.com/v1"
    assert own.upstream.renames == (("max_tokens", "max_completion_tokens"),)
    assert here.upstream.base_url == "http://h:1/v1"
    # Who serves at another address is not known, so nothing is renamed for them; the key is the same.
    assert (here.upstream.renames, here.upstream.api_key_env) == ((), "OPENAI_API_KEY")
    assert len({own.digest, here.digest, there.digest}) == 3


@pytest.mark.parametrize("url", ["localhost", "http://u:p@h/v1", "http://h/v1?key=1"])
def test_a_wrong_openai_base_url_is_named(url: str) -> None:
    with pytest.raises(WrongCall, match="OPENAI_BASE_URL is"):
        made("", variant='[variants.a]\nupstream = "openai"\nmodel = "m"\n', OPENAI_BASE_URL=url)


def test_parameters_go_under_the_providers_names() -> None:
    address = made('[upstreams.mine]\nprovider = "mistral"').upstream
    body = {"model": "m", "max_completion_tokens": 5, "seed": 7, "user": "u", "stream_options": {"include_usage": True}}
    assert adapt(body, address) == {"model": "m", "max_tokens": 5, "random_seed": 7}
    assert adapt({"max_completion_tokens": 5, "max_tokens": 6}, address) == {"max_tokens": 6}
    assert body["user"] == "u"


def test_the_document_names_every_provider_with_its_address_and_key() -> None:
    text = (Path(__file__).parents[2] / "docs/providers.md").read_text()
    for name, provider in providers().items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        assert f"`{provider.base_url or provider.example}`" in row
        assert (f"`{provider.api_key_env}`" if provider.api_key_env else "| none |") in row
        assert provider.auth == "bearer" or f"`{provider.auth}`" in row
