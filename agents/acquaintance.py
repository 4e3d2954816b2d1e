"""What is known of an endpoint: its profile, the form of its URL that works, the models it offers."""

from __future__ import annotations

import json
import logging
from typing import Any

from netwright.agents.adapting import Course, after_refusal, next_json_mode
from netwright.agents.faults import EndpointError, Fault
from netwright.agents.profile import Profile, ProfileStore
from netwright.agents.transport import Answered, Transport
from netwright.errors import ConfigError
from netwright.types import JsonDict

logger = logging.getLogger(__name__)


class Acquaintance:
    """The profile of one model of an endpoint, and whatever changes it.

    `url_index` is which of the transport's API roots is in use.

    Args:
        transport: by which the endpoint is reached.
        model: None takes the only one that `/models` lists.
        profiles: where the profile is kept; None forgets it with this object.
        known_as: whose profile it is, where the URL is another every time; None: the URL's.
    """

    def __init__(
        self, transport: Transport, model: str | None, profiles: ProfileStore | None, known_as: str | None = None
    ) -> None:
        self._transport = transport
        self._model = model
        self._profiles = profiles
        self._known_as = known_as
        self._profile: Profile | None = None
        self._url_is_known = False
        self._has_answered = False
        self.url_index = 0

    @property
    def url(self) -> str:
        """The API root in use, without user name and password."""
        return self._transport.shown_url(self.url_index)

    @property
    def current(self) -> Profile | None:
        """The profile, once the model is known."""
        return self._profile

    async def profile(self) -> Profile:
        """Return what is known of the endpoint and its model.

        Raises:
            ConfigError: no model was named, and the endpoint does not list exactly one.
            ProviderError: the endpoint did not answer.
        """
        if self._profile is None:
            if self._model is None:
                offered = await self.offered_models()
                if len(offered) != 1:
                    raise ConfigError(_choose_model(self.url, offered))
                self._model = offered[0]
            self._profile = self._remembered(self._model)
        return self._profile

    async def offered_models(self) -> list[str]:
        """Return what `/models` lists, sorted; empty where the route is missing. A server of ours has one, unasked.

        Raises: EndpointError where the endpoint is down or refuses the key.
        """
        if self._known_as is not None and self._model is not None:
            return [self._model]
        for index in range(self.url_index, len(self._transport.urls)):
            try:
                names = _model_names(await self._transport.get_models(index))
            except EndpointError as error:
                if error.fault in (Fault.UNREACHABLE, Fault.TIMEOUT, Fault.KEY_REFUSED):
                    raise
                continue
            if names is not None:
                self.url_index = index
                self._url_is_known = True
                return names
        return []

    def _remembered(self, model: str) -> Profile:
        """The profile of the model; the form of the URL that it names is tried first."""
        url = self._known_as or self._transport.shown_url(0)
        known = self._profiles.find(url, model) if self._profiles else Profile(url=url, model=model)
        if not self._url_is_known:
            roots = [self._transport.shown_url(index) for index in range(len(self._transport.urls))]
            self.url_index = roots.index(known.root) if known.root in roots else 0
        return known

    def learn(self, **facts: Any) -> None:
        """Write `facts` into the profile, and the profile into its file if that is news."""
        assert self._profile is not None
        news = {name: value for name, value in facts.items() if getattr(self._profile, name) != value}
        if not news:
            return
        self._profile = self._profile.model_copy(update=news)
        logger.info("endpoint profile url=%s model=%s learned %s", self.url, self._profile.model, news)
        if self._profiles is not None:
            self._profiles.keep(self._profile)

    def adapt(self, error: EndpointError, sent: JsonDict, url_index: int, course: Course) -> bool:
        """Learn from a refusal; True when the request can be put otherwise at once."""
        assert self._profile is not None
        if error.fault is Fault.NOT_CHAT:
            # Where answers came from before, a server is away, and a proxy has no other word for it.
            error.passing = error.passing or self._has_answered
            return not self._url_is_known and self._try_next_url(url_index, course)
        taught = after_refusal(error, sent, self._profile, course)
        if taught is not None:
            self.learn(**taught.model_dump())
            return True
        # What may be to blame without a word of it, and is left out of the next try: streaming, an engine for JSON.
        unproven = self._profile.streaming is None
        course.whole = bool(sent.get("stream")) and (
            error.fault is Fault.BROKEN or (unproven and error.fault is Fault.TIMEOUT)
        )
        course.plain = course.plain or (
            error.fault is Fault.SERVER_ERROR and "response_format" in sent and self._profile.json_mode is None
        )
        return False

    def _try_next_url(self, url_index: int, course: Course) -> bool:
        """Turn to the next form of the URL; after the last one, back to the first and False."""
        count = len(self._transport.urls)
        self.url_index = (url_index + 1) % count
        course.roots += 1
        return course.roots < count

    def learn_from(self, answered: Answered, sent: JsonDict, course: Course) -> None:
        """Take down what an answer shows to work."""
        assert self._profile is not None
        self._url_is_known = self._has_answered = True
        facts: JsonDict = {"root": self.url}
        if answered.streamed:
            facts["streaming"] = "works" if sent.get("stream") else "only"
        elif sent.get("stream") or (course.whole and self._profile.streaming is None):
            facts["streaming"] = "refused"
        if self._profile.json_mode is None and "response_format" in sent:
            facts["json_mode"] = sent["response_format"]["type"]
        elif self._profile.json_mode is None and course.plain:
            facts["json_mode"] = next_json_mode(None)
        self.learn(**facts)


def _model_names(text: str) -> list[str] | None:
    """Model ids in a `/models` reply, sorted; None when it is no such reply."""
    try:
        return sorted({row["id"] for row in json.loads(text)["data"] if isinstance(row["id"], str)})
    except (ValueError, KeyError, TypeError):
        return None


def _choose_model(url: str, offered: list[str]) -> str:
    if not offered:
        return f"endpoint {url} does not list its models; name the one to use (--model NAME)"
    return f"endpoint {url} offers {len(offered)} models; choose one (--model NAME): {listed(offered)}"


def listed(names: list[str]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
