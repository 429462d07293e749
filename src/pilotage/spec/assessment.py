"""What a use case is used for, asked question by question after the EU AI Act (Regulation (EU) 2024/1689, amended by 2026/1744)."""

from __future__ import annotations

from pydantic import Field

from pilotage.spec.metric import Lines, Strict

PROHIBITED = (
    "manipulates",
    "exploits_vulnerability",
    "scores_people_socially",
    "predicts_crime_by_profile",
    "scrapes_faces",
    "reads_emotions_at_work_or_school",
    "infers_traits_from_biometrics",
    "identifies_people_in_public",
    "makes_intimate_images",
    "makes_abuse_material",
)
"""A yes to one of these is a use that Article 5 prohibits."""
HIGH_RISK = (
    "safety_component",
    "biometrics",
    "critical_infrastructure",
    "education",
    "employment",
    "essential_services",
    "law_enforcement",
    "migration",
    "justice_or_elections",
)
"""A yes to one of these is tier high: Article 6 with Annexes I and III."""
TRANSPARENCY = ("talks_with_people", "makes_content", "reads_emotions", "makes_deep_fakes")
"""A yes to one of these brings a duty of Article 50 to tell people; tier limited at the least."""


class Assessment(Strict):
    """The questionnaire behind the tier: yes or no to each, and the reasons. What is not answered is not known.

    It is no legal advice.
    """

    reasons: str = ""
    """Why the tier is what it is, in a few sentences that somebody else can check."""
    tells_people: str = ""
    """How people learn that they deal with AI, or that content is made by it (Article 50)."""
    manipulates: bool | None = None
    """Works by subliminal, manipulative or deceptive techniques that distort behaviour and harm (Article 5(1)(a))."""
    exploits_vulnerability: bool | None = None
    """Exploits age, disability or hardship to distort behaviour and harm (Article 5(1)(b))."""
    scores_people_socially: bool | None = None
    """Scores people by behaviour or traits, with unrelated or disproportionate treatment (Article 5(1)(c))."""
    predicts_crime_by_profile: bool | None = None
    """Predicts that a person commits crimes from profiling alone (Article 5(1)(d))."""
    scrapes_faces: bool | None = None
    """Builds face databases by untargeted scraping (Article 5(1)(e))."""
    reads_emotions_at_work_or_school: bool | None = None
    """Infers emotions at a workplace or in education, not for medicine or safety (Article 5(1)(f))."""
    infers_traits_from_biometrics: bool | None = None
    """Infers race, opinions, beliefs or orientation from biometrics (Article 5(1)(g))."""
    identifies_people_in_public: bool | None = None
    """Identifies people remotely by biometrics in public in real time for law enforcement (Article 5(1)(h))."""
    makes_intimate_images: bool | None = None
    """Makes or alters intimate pictures or recordings of people who did not agree (Article 5(1)(ba), from 2 December 2026)."""
    makes_abuse_material: bool | None = None
    """Makes or alters material of child sexual abuse (Article 5(1)(bb), from 2 December 2026)."""
    safety_component: bool | None = None
    """Is a product, or a product's safety component, that third parties must assess (Article 6(1), Annex I)."""
    biometrics: bool | None = None
    """Identifies, categorises or reads emotions of people by biometrics (Annex III, 1)."""
    critical_infrastructure: bool | None = None
    """Is a safety component of traffic, water, gas, heat, electricity or digital infrastructure (Annex III, 2)."""
    education: bool | None = None
    """Decides on admission, grades, levels or cheating in education (Annex III, 3)."""
    employment: bool | None = None
    """Decides on recruiting, promotion, dismissal, tasks or performance of workers (Annex III, 4)."""
    essential_services: bool | None = None
    """Decides on benefits, credit, life or health insurance, or emergency calls (Annex III, 5)."""
    law_enforcement: bool | None = None
    """Is used by or for law enforcement on people or evidence (Annex III, 6)."""
    migration: bool | None = None
    """Is used in migration, asylum or border control (Annex III, 7)."""
    justice_or_elections: bool | None = None
    """Helps courts to find and apply the law, or is meant to influence elections (Annex III, 8)."""
    talks_with_people: bool | None = None
    """People talk with it directly (Article 50(1))."""
    makes_content: bool | None = None
    """Makes text, sound, pictures or video (Article 50(2))."""
    reads_emotions: bool | None = None
    """Recognises emotions or categorises people by biometrics (Article 50(3))."""
    makes_deep_fakes: bool | None = None
    """Makes deep fakes, or texts that inform the public on matters of public interest (Article 50(4))."""

    @property
    def unanswered(self) -> list[str]:
        """Return the questions that are neither answered yes nor no."""
        return [name for name in (*PROHIBITED, *HIGH_RISK, *TRANSPARENCY) if getattr(self, name) is None]

    def yes(self, questions: tuple[str, ...]) -> list[str]:
        return [name for name in questions if getattr(self, name)]


class Risk(Strict):
    """One line of the risk register: what may go wrong, how likely and how bad, and what treats it."""

    says: str = Field(min_length=1)
    """What may happen, to whom."""
    likelihood: int = Field(ge=1, le=5)
    """From 1, hardly ever, to 5, all the time."""
    impact: int = Field(ge=1, le=5)
    """From 1, a nuisance, to 5, lives or livelihoods."""
    treated_by: Lines = ()
    """What treats it: 'guardrails.NAME', 'goals.NAME' or 'gates.STAGE.MEASURE', as this file or its tier has it. An
    untreated risk above `risk_appetite` closes every gate."""
    owner: str = ""
    """Who answers for it; the use case's owner unless given."""

    @property
    def level(self) -> int:
        """Return likelihood times impact, 1 to 25."""
        return self.likelihood * self.impact
