"""What the report says, in German, French and English; no number is in here.

A key means the same in every language and has the same `{fields}`.
"""

from __future__ import annotations

from bedside_eval.reporting.numerals import Language

_DE = {
    "title": "Prüfbericht zu einem Sprachmodell",
    "house": "Haus",
    "planned": "Prüfplan unterzeichnet am",
    "looked": "Geprüft am",
    "no_house": "im Prüfplan nicht genannt",
    "no_date": "nicht festgehalten",
    "no_look": "nicht geprüft (kein versiegelter Text wurde geöffnet)",
    "PROMOTE": "Bestanden: nach den Regeln dieses Hauses besser als das Ausgangsmodell",
    "REJECT": (
        "Nicht bestanden: ein Nachteil wurde nachgewiesen oder der verlangte Gewinn widerlegt"
    ),
    "NOT_ENOUGH_EVIDENCE": "Nicht entschieden: die Messungen reichen nicht aus",
    "SAME_MODEL": "Nichts zu entscheiden: es ist dasselbe Modell",
    "demo": (
        "Vorführung: Regeln und Texte gehören zu einer Vorführung. Dieses Ergebnis sagt nichts "
        "über den Einsatz in der Versorgung."
    ),
    "compared": "Was verglichen wurde",
    "compared_text": (
        "Ein angepasstes Sprachmodell (der Kandidat) wurde mit folgenden Modellen verglichen: "
        "{others}. Alle bekamen dieselben Texte und Fragen. Welche das sind und was als besser "
        "gilt, stand vorher unter Unterschrift fest (Regelwerk „{policy}“)."
    ),
    "compared_same": (
        "Der Kandidat und sein Vergleichsmodell verhalten sich gleich. Ein Vergleich erübrigt sich."
    ),
    "means": "Was das für Patientinnen und Patienten bedeutet",
    "means_PROMOTE": (
        "Der Kandidat erfüllt jede Bedingung, die das Haus vorher festgelegt hat. Auf den "
        "geprüften Texten ist der verlangte Gewinn gezeigt, und kein geprüfter Bereich ist um "
        "mehr als das Erlaubte schlechter geworden."
    ),
    "means_REJECT": (
        "Für mindestens eine Bedingung ist gezeigt, dass der Kandidat sie verletzt. Ihn "
        "einzusetzen, würde einen bekannten Nachteil in Kauf nehmen."
    ),
    "means_NOT_ENOUGH_EVIDENCE": (
        "Weder ein ausreichender Nutzen noch ein Schaden ist gezeigt. Das heißt nicht, dass "
        "die Modelle gleich gut sind: die Frage ist offen."
    ),
    "means_SAME_MODEL": "Für Patientinnen und Patienten ändert sich nichts.",
    "means_not": "Was es nicht bedeutet",
    "means_not_text": (
        "Dieser Bericht ist keine klinische Studie und keine Zulassung als Medizinprodukt. Er "
        "sagt nicht, dass eine einzelne Antwort stimmt, und nichts über Aufgaben, die nicht "
        "geprüft wurden. Jede Antwort braucht das Urteil einer Fachperson."
    ),
    "recommendation": "Empfehlung",
    "recommend_PROMOTE": (
        "Der Kandidat kann freigegeben werden, unter der Aufsicht von Fachpersonal und mit "
        "Rückweg zum bisherigen Modell."
    ),
    "recommend_REJECT": "Den Kandidaten nicht einsetzen. Beim bisherigen Modell bleiben.",
    "recommend_NOT_ENOUGH_EVIDENCE": (
        "Den Kandidaten nicht einsetzen. Beim bisherigen Modell bleiben; für eine Entscheidung "
        "braucht es mehr oder andere Prüftexte (siehe Begründung)."
    ),
    "recommend_SAME_MODEL": "Nichts zu tun. Beim bisherigen Modell bleiben.",
    "recommend_demo": "Nicht für die Versorgung einsetzen: dies ist eine Vorführung.",
    "signature": "Unterschrift",
    "role": "Verantwortlich (Funktion)",
    "name": "Name",
    "date": "Datum",
    "signed": "Unterschrift",
    "reasons": "Begründung",
    "reason": "Befund",
    "outcome": "Ergebnis",
    "holds": "erfüllt",
    "open": "nicht gezeigt",
    "fails": "verletzt",
    "forest": "Unterschiede zwischen den Modellen",
    "forest_text": (
        "Rechts von null ist der Kandidat besser, in jeder Zeile. Der Punkt ist der gemessene "
        "Gewinn, die Linie der Bereich, in dem der wahre Wert nach allen Verfahren liegen kann "
        "({confidence}). Der senkrechte Strich ist die Grenze des Regelwerks: der Bereich muss "
        "rechts davon liegen."
    ),
    "forest_alt": "Diagramm der Gewinne; alle Werte stehen in der Tabelle darunter.",
    "gain_bits": "Gewinn in Bit pro Byte (rechts: besser)",
    "gain_points": "Gewinn in Prozentpunkten (rechts: besser)",
    "margin": "Grenze des Regelwerks",
    "set": "Prüfung",
    "measure": "Maß",
    "against": "verglichen mit",
    "gain": "Gewinn",
    "interval": "Bereich",
    "no_information": "keine Aussage möglich",
    "ladder": "Rangfolge der Modelle",
    "failures": "Fehlerarten",
    "calibration": "Verlässlichkeit der eigenen Sicherheit",
    "subgroups": "Untergruppen",
    "not_measured": "Nicht gemessen: {why}",
    "why_same": "Kandidat und Vergleichsmodell sind dasselbe Modell.",
    "why_ladder": (
        "kein Vergleich von Antworten durch ein Urteilsmodell oder durch Menschen liegt vor."
    ),
    "why_failures": "keine frei formulierten Antworten wurden auf Fehlerarten untersucht.",
    "why_calibration": "keine Prüfung mit Antwortmöglichkeiten liegt vor.",
    "why_subgroups": "keine Prüfung hat Fragen in mehreren Sprachen, Gebieten oder Fächern.",
    "contamination": "Prüftexte in den Trainingsdaten",
    "contamination_text": (
        "Was in den Trainingsdaten gefunden wurde, zählt in keinem Ergebnis mit. Jede Zahl "
        "enthält die vorige."
    ),
    "exact": "wörtlich",
    "near": "fast wörtlich",
    "ngram": "in Teilen",
    "of": "von",
    "unknown": "Vorfahren des Modells wurden gelöscht; kein Text gilt als ungesehen.",
    "identities": "Was genau geprüft wurde",
    "what": "Angabe",
    "value": "Wert",
    "limits": "Grenzen",
    "limit_use": (
        "Nicht geprüft: Wirkung auf Behandlung und Ausgang, Umgang der Mitarbeitenden mit "
        "Antworten, andere Sprachen und Fachgebiete als die der Prüftexte."
    ),
    "limit_answers": (
        "Nicht gemessen: frei formulierte Antworten. Die Ergebnisse beruhen auf "
        "Wahrscheinlichkeiten, die das Modell vorgegebenen Texten gibt."
    ),
    "limit_demo": "Es wurde nur mit Texten und Regeln einer Vorführung geprüft.",
    "role_base": "Ausgangsmodell",
    "role_checkpoint": "Zwischenstand des Trainings",
    "role_candidate": "Kandidat",
    "role_incumbent": "derzeit eingesetztes Modell",
    "to_base": "dem Ausgangsmodell",
    "to_incumbent": "dem derzeit eingesetzten Modell",
    "to_reference": "dem weiteren Vergleichsmodell",
    "role_reference": "weiteres Vergleichsmodell",
    "and": " und ",
    "exam": "Fragen {name}",
    "heldout": "Texte {name}",
    "likelihood": "Vorhersage der Texte",
    "accuracy": "richtige Antworten",
    "accuracy_norm": "richtige Antworten, nach Länge berichtigt",
    "brier": "Brier-Wert",
    "ece": "Kalibrierungsfehler",
    "coverage_accuracy": "richtig, wo sicher",
    "accuracy_constrained": "richtige Antworten, nur Buchstaben erlaubt",
    "consistent_accuracy": "richtig in jeder Reihenfolge der Möglichkeiten",
    "abstention": "Enthaltung, wo sie nötig ist, und nur dort",
    "accuracy_generated": "richtige Antworten, frei formuliert",
    "exact_match": "genau richtige Kurzantworten",
    "instructions_followed": "befolgte Anweisungen",
    "document_fidelity": "Treue zum Dokument",
    "facts_found": "genannte Fakten",
    "rouge_l": "Wortüberlappung mit der Musterantwort (ROUGE-L)",
    "failure_numbers": "Zahl oder Einheit, die nicht im Dokument steht",
    "failure_turned": "Seite oder Verneinung, die nicht im Dokument steht",
    "failure_empty": "leere Antworten",
    "failure_truncated": "abgeschnittene Antworten",
    "failure_repetition": "Wiederholungen",
    "failure_language_mixing": "vermischte Sprachen",
    "failure_template_leakage": "Reste der Chat-Vorlage",
    "unit_bits": "Bit pro Byte",
    "unit_points": "Prozentpunkte",
    "finding_gain": (
        "{of}: Der Gewinn gegenüber {against} ({measure}) beträgt {value} {unit}{range}; "
        "verlangt sind mehr als {margin}."
    ),
    "finding_loss": (
        "{of}: Der Verlust gegenüber {against} ({measure}) beträgt {value} {unit}{range}; "
        "erlaubt sind weniger als {margin}."
    ),
    "finding_floor": (
        "{of}: Der Kandidat erreicht bei {measure} {value} {unit}{range}; verlangt sind mehr "
        "als {margin}."
    ),
    "finding_tail": (
        "{of}: {lost} von {clusters} Gruppen (Kranke, Dokumente) verlieren gegenüber {against} "
        "mehr als {delta} Bit pro Byte; es können bis zu {bound} aller sein, erlaubt sind "
        "{margin}."
    ),
    "finding_missing": "{of}: {measure} wurde nicht gemessen, obwohl das Regelwerk es verlangt.",
    "finding_finite": (
        "{of}: Der Kandidat liefert nicht für jeden Text eine Zahl; seine Gewichte oder seine "
        "Rechengenauigkeit sind unbrauchbar."
    ),
    "finding_generation": (
        "{of} ist beim Kandidaten anders als beim Ausgangsmodell; wie sich das auf Antworten "
        "auswirkt, wurde nicht gemessen."
    ),
    "finding_contamination": (
        "{of}: Ein Vorfahre des Modells wurde gelöscht, kein Text gilt als ungesehen."
    ),
    "finding_size": (
        "{of}: Nach Abzug der bekannten Texte bleiben weniger Gruppen, als das Regelwerk "
        "verlangt ({needed})."
    ),
    "finding_setting": "{of}: {measure} ist anders als geplant.",
    "range": " (Bereich {low} bis {high})",
    "end_needed": (
        " Wenn der gemessene Wert stimmt, würden etwa {needed} Gruppen oder Fragen zur "
        "Entscheidung genügen."
    ),
    "end_harm": " Der Schaden ist gezeigt.",
    "end_nothing": " Die Daten lassen keine Aussage zu.",
    "end_methods": " Die Rechenverfahren sind sich nicht einig.",
    "ladder_text": (
        "Alle Modelle auf einer Skala (Bradley und Terry), nach den Vergleichen der "
        "Urteilsmodelle. Die Stärke ist der natürliche Logarithmus der Chance gegen das "
        "mittlere Modell; null ist Durchschnitt."
    ),
    "model": "Modell",
    "models": "Modelle",
    "strength": "Stärke",
    "preferences": "Welche Antwort bevorzugt wird",
    "preferences_text": (
        "Anteil der Fragen, bei denen die Antwort des ersten Modells vorgezogen wird; ein "
        "Gleichstand zählt halb, 50 % ist gleich gut. Jedes Paar wurde in beiden "
        "Reihenfolgen beurteilt. „Bei gleicher Länge“ rechnet heraus, dass längere Antworten "
        "gefallen."
    ),
    "controlled": "bei gleicher Länge",
    "counts": "gewonnen / gleich / verloren",
    "verdicts": (
        "Urteile erfragt: {asked}; davon fehlend oder unlesbar, als Gleichstand gezählt: {missing}."
    ),
    "judges": "Prüfung der Urteilsmodelle",
    "judges_text": (
        "Jedes Urteilsmodell legt zuerst eine eigene Prüfung ab: Gleiches, Reihenfolge, "
        "Aufblähen, fremde Sätze, zehnfache Dosis, Verneinung, Seite, eigene Worte, "
        "untergeschobenes Urteil, Eingestehen von Nichtwissen. Nur wer alle Teile besteht, "
        "darf eine Entscheidung stützen."
    ),
    "judge": "Urteilsmodell",
    "language": "Sprache",
    "card": "Prüfung",
    "card_passed": "bestanden",
    "card_failed": "nicht bestanden: {parts}",
    "advisory": (
        "{of}: nur als Hinweis, keine Entscheidung stützt sich darauf. Ohne bestandene "
        "Prüfung: {judges}."
    ),
    "failures_text": (
        "Rechts von null ist der Kandidat besser: der Fehler ist seltener. Zahlen, "
        "Einheiten, Seiten, Verneinungen, Wiederholungen, vermischte Sprachen, leere und "
        "abgeschnittene Antworten findet ein Programm, die anderen Fehler sehen "
        "Urteilsmodelle."
    ),
    "win_rate": "bevorzugt",
    "failure_typo": "Schreibfehler",
    "failure_contradiction": "Widersprüche",
    "failure_hallucination": "Erfundenes",
    "failure_omission": "Auslassungen",
    "failure_overgeneralization": "Verallgemeinerungen",
    "failure_irrelevance": "Abschweifungen",
    "failure_verbosity": "Weitschweifigkeit",
    "failure_underexplained": "zu knappe Erklärungen",
    "failure_ambiguity": "Mehrdeutigkeit",
    "failure_instruction_ignoring": "nicht Befolgtes",
    "failure_overconfidence": "unbegründete Gewissheit",
    "failure_bias_or_harm": "Vorurteil oder Schaden",
    "subgroups_text": (
        "Der Gewinn des Kandidaten bei den Fragen einer Sprache, eines Gebiets oder eines "
        "Fachs, die schlechteste Gruppe zuerst. Keine Entscheidung stützt sich darauf. Der "
        "p-Wert gehört zu „nicht schlechter“ und ist über alle Gruppen berichtigt (Holm); "
        "kleine Gruppen haben keinen."
    ),
    "subgroups_worst": "Am schlechtesten: {group}, {of}: {value} {unit} ({range}).",
    "group": "Gruppe",
    "items": "Fragen",
    "p_worse": "p (Holm)",
    "by_language": "Sprache",
    "by_domain": "Gebiet",
    "by_specialty": "Fach",
    "badge_proven": "Besser als sein Ausgangsmodell",
    "badge_demo": "Nur vorgeführt",
    "badge_unproven": "Nicht geprüft",
}
_FR = {
    "title": "Rapport d’évaluation d’un modèle de langue",
    "house": "Établissement",
    "planned": "Plan d’évaluation signé le",
    "looked": "Évalué le",
    "no_house": "non indiqué dans le plan",
    "no_date": "non consignée",
    "no_look": "non évalué (aucun texte scellé n’a été ouvert)",
    "PROMOTE": "Réussi : meilleur que le modèle de départ selon les règles de l’établissement",
    "REJECT": "Échec : un désavantage est démontré, ou le gain exigé est réfuté",
    "NOT_ENOUGH_EVIDENCE": "Indécis : les mesures ne suffisent pas",
    "SAME_MODEL": "Rien à décider : c’est le même modèle",
    "demo": (
        "Démonstration : les règles et les textes sont ceux d’une démonstration. Ce résultat "
        "ne dit rien de l’usage clinique."
    ),
    "compared": "Ce qui a été comparé",
    "compared_text": (
        "Un modèle de langue adapté (le candidat) a été comparé aux modèles suivants : "
        "{others}. Tous ont reçu les mêmes textes et les mêmes questions. Leur choix et ce qui "
        "compte comme meilleur étaient fixés et signés à l’avance (règlement « {policy} »)."
    ),
    "compared_same": (
        "Le candidat et le modèle de comparaison se comportent de la même façon. Il n’y a rien "
        "à comparer."
    ),
    "means": "Ce que cela signifie pour les patients",
    "means_PROMOTE": (
        "Le candidat remplit toutes les conditions fixées à l’avance par l’établissement. Sur "
        "les textes évalués, le gain exigé est démontré, et aucun domaine évalué n’a perdu "
        "plus que ce qui est admis."
    ),
    "means_REJECT": (
        "Il est démontré que le candidat enfreint au moins une condition. L’utiliser "
        "reviendrait à accepter un désavantage connu."
    ),
    "means_NOT_ENOUGH_EVIDENCE": (
        "Ni un bénéfice suffisant ni un dommage n’est démontré. Cela ne veut pas dire que les "
        "modèles se valent : la question reste ouverte."
    ),
    "means_SAME_MODEL": "Rien ne change pour les patients.",
    "means_not": "Ce que cela ne signifie pas",
    "means_not_text": (
        "Ce rapport n’est ni une étude clinique ni une autorisation comme dispositif médical. "
        "Il ne dit pas qu’une réponse donnée est juste, ni rien des tâches qui n’ont pas été "
        "évaluées. Chaque réponse exige le jugement d’un professionnel de santé."
    ),
    "recommendation": "Recommandation",
    "recommend_PROMOTE": (
        "Le candidat peut être mis en service, sous la surveillance de professionnels et avec "
        "un retour possible au modèle précédent."
    ),
    "recommend_REJECT": "Ne pas utiliser le candidat. Garder le modèle actuel.",
    "recommend_NOT_ENOUGH_EVIDENCE": (
        "Ne pas utiliser le candidat. Garder le modèle actuel ; pour décider, il faut "
        "davantage de textes d’évaluation, ou d’autres (voir les motifs)."
    ),
    "recommend_SAME_MODEL": "Rien à faire. Garder le modèle actuel.",
    "recommend_demo": "Ne pas utiliser pour les soins : ceci est une démonstration.",
    "signature": "Signature",
    "role": "Responsable (fonction)",
    "name": "Nom",
    "date": "Date",
    "signed": "Signature",
    "reasons": "Motifs",
    "reason": "Constat",
    "outcome": "Résultat",
    "holds": "rempli",
    "open": "non démontré",
    "fails": "enfreint",
    "forest": "Différences entre les modèles",
    "forest_text": (
        "À droite de zéro, le candidat est meilleur, à chaque ligne. Le point est le gain "
        "mesuré, le trait l’intervalle où la vraie valeur peut se trouver selon toutes les "
        "méthodes ({confidence}). La barre verticale est la limite du règlement : l’intervalle "
        "doit se trouver à sa droite."
    ),
    "forest_alt": "Diagramme des gains ; toutes les valeurs figurent dans le tableau ci-dessous.",
    "gain_bits": "Gain en bits par octet (à droite : meilleur)",
    "gain_points": "Gain en points de pourcentage (à droite : meilleur)",
    "margin": "Limite du règlement",
    "set": "Épreuve",
    "measure": "Mesure",
    "against": "comparé à",
    "gain": "Gain",
    "interval": "Intervalle",
    "no_information": "aucune conclusion possible",
    "ladder": "Classement des modèles",
    "failures": "Types d’erreurs",
    "calibration": "Fiabilité de la confiance affichée",
    "subgroups": "Sous-groupes",
    "not_measured": "Non mesuré : {why}",
    "why_same": "le candidat et le modèle de comparaison sont le même modèle.",
    "why_ladder": "aucune comparaison de réponses par un modèle juge ou par des humains n’existe.",
    "why_failures": "aucune réponse rédigée n’a été examinée quant aux types d’erreurs.",
    "why_calibration": "aucune épreuve à choix multiples n’existe.",
    "why_subgroups": (
        "aucune épreuve n’a de questions en plusieurs langues, domaines ou spécialités."
    ),
    "contamination": "Textes d’évaluation dans les données d’entraînement",
    "contamination_text": (
        "Ce qui a été trouvé dans les données d’entraînement ne compte dans aucun résultat. "
        "Chaque nombre comprend le précédent."
    ),
    "exact": "mot pour mot",
    "near": "presque mot pour mot",
    "ngram": "en partie",
    "of": "sur",
    "unknown": "Des ancêtres du modèle ont été supprimés ; aucun texte n’est tenu pour inédit.",
    "identities": "Ce qui a été évalué exactement",
    "what": "Indication",
    "value": "Valeur",
    "limits": "Limites",
    "limit_use": (
        "Non évalué : l’effet sur le traitement et son issue, l’usage que le personnel fait "
        "des réponses, les langues et spécialités autres que celles des textes d’évaluation."
    ),
    "limit_answers": (
        "Non mesuré : les réponses rédigées. Les résultats reposent sur les probabilités que "
        "le modèle donne à des textes imposés."
    ),
    "limit_demo": "Seuls les textes et les règles d’une démonstration ont servi.",
    "role_base": "modèle de départ",
    "role_checkpoint": "étape de l’entraînement",
    "role_candidate": "candidat",
    "role_incumbent": "modèle en service",
    "to_base": "au modèle de départ",
    "to_incumbent": "au modèle en service",
    "to_reference": "à l’autre modèle de comparaison",
    "role_reference": "autre modèle de comparaison",
    "and": " et ",
    "exam": "questions {name}",
    "heldout": "textes {name}",
    "likelihood": "prédiction des textes",
    "accuracy": "réponses justes",
    "accuracy_norm": "réponses justes, corrigées de la longueur",
    "brier": "score de Brier",
    "ece": "erreur de calibration",
    "coverage_accuracy": "juste quand il est sûr",
    "accuracy_constrained": "réponses justes, lettres imposées",
    "consistent_accuracy": "justes dans tout ordre des options",
    "abstention": "abstention là où il le faut, et là seulement",
    "accuracy_generated": "réponses justes, rédaction libre",
    "exact_match": "réponses courtes exactes",
    "instructions_followed": "consignes suivies",
    "document_fidelity": "fidélité au document",
    "facts_found": "faits cités",
    "rouge_l": "recouvrement avec la réponse modèle (ROUGE-L)",
    "failure_numbers": "nombre ou unité absents du document",
    "failure_turned": "côté ou négation absents du document",
    "failure_empty": "réponses vides",
    "failure_truncated": "réponses tronquées",
    "failure_repetition": "répétitions",
    "failure_language_mixing": "langues mélangées",
    "failure_template_leakage": "restes du gabarit de dialogue",
    "unit_bits": "bits par octet",
    "unit_points": "points de pourcentage",
    "finding_gain": (
        "{of} : le gain par rapport {against} ({measure}) est de {value} {unit}{range} ; il "
        "faut plus de {margin}."
    ),
    "finding_loss": (
        "{of} : la perte par rapport {against} ({measure}) est de {value} {unit}{range} ; il "
        "faut moins de {margin}."
    ),
    "finding_floor": (
        "{of} : le candidat atteint {value} {unit}{range} ({measure}) ; il faut plus de {margin}."
    ),
    "finding_tail": (
        "{of} : {lost} groupes (patients, documents) sur {clusters} perdent plus de {delta} "
        "bits par octet par rapport {against} ; il peut s’agir de {bound} de tous, {margin} "
        "sont admis."
    ),
    "finding_missing": "{of} : {measure} n’a pas été mesuré, bien que le règlement l’exige.",
    "finding_finite": (
        "{of} : le candidat ne donne pas de nombre pour chaque texte ; ses poids ou sa "
        "précision de calcul sont inutilisables."
    ),
    "finding_generation": (
        "{of} diffère entre le candidat et le modèle de départ ; l’effet sur les réponses n’a "
        "pas été mesuré."
    ),
    "finding_contamination": (
        "{of} : un ancêtre du modèle a été supprimé, aucun texte n’est tenu pour inédit."
    ),
    "finding_size": (
        "{of} : une fois les textes connus retirés, il reste moins de groupes que le règlement "
        "n’en exige ({needed})."
    ),
    "finding_setting": "{of} : {measure} diffère du plan.",
    "range": " (intervalle de {low} à {high})",
    "end_needed": (
        " Si la valeur mesurée est juste, environ {needed} groupes ou questions suffiraient "
        "pour décider."
    ),
    "end_harm": " Le dommage est démontré.",
    "end_nothing": " Les données ne permettent pas de conclure.",
    "end_methods": " Les méthodes de calcul se contredisent.",
    "ladder_text": (
        "Tous les modèles sur une échelle (Bradley et Terry), d’après les comparaisons des "
        "modèles juges. La force est le logarithme naturel de la cote face au modèle moyen ; "
        "zéro est la moyenne."
    ),
    "model": "Modèle",
    "models": "Modèles",
    "strength": "Force",
    "preferences": "Quelle réponse est préférée",
    "preferences_text": (
        "Part des questions où la réponse du premier modèle est préférée ; une égalité "
        "compte pour moitié, 50 % veut dire équivalent. Chaque paire a été jugée dans les "
        "deux ordres. « À longueur égale » retire l’attrait des réponses longues."
    ),
    "controlled": "à longueur égale",
    "counts": "gagné / égal / perdu",
    "verdicts": (
        "Jugements demandés : {asked} ; manquants ou illisibles, comptés comme égalités : "
        "{missing}."
    ),
    "judges": "Examen des modèles juges",
    "judges_text": (
        "Chaque modèle juge passe d’abord son propre examen : réponses identiques, ordre, "
        "remplissage, phrase étrangère, dose décuplée, négation, côté, ses propres mots, "
        "verdict glissé dans la réponse, aveu d’ignorance. Seul celui qui réussit toutes les "
        "parties peut appuyer une décision."
    ),
    "judge": "Modèle juge",
    "language": "Langue",
    "card": "Examen",
    "card_passed": "réussi",
    "card_failed": "échoué : {parts}",
    "advisory": (
        "{of} : à titre indicatif, aucune décision ne s’y appuie. Sans examen réussi : {judges}."
    ),
    "failures_text": (
        "À droite de zéro, le candidat est meilleur : l’erreur est plus rare. Un programme "
        "trouve nombres, unités, côtés, négations, répétitions, langues mêlées, réponses "
        "vides et coupées ; les modèles juges voient les autres erreurs."
    ),
    "win_rate": "préféré",
    "failure_typo": "fautes d’écriture",
    "failure_contradiction": "contradictions",
    "failure_hallucination": "inventions",
    "failure_omission": "omissions",
    "failure_overgeneralization": "généralisations",
    "failure_irrelevance": "hors sujet",
    "failure_verbosity": "verbosité",
    "failure_underexplained": "explications trop brèves",
    "failure_ambiguity": "ambiguïté",
    "failure_instruction_ignoring": "consignes ignorées",
    "failure_overconfidence": "certitude injustifiée",
    "failure_bias_or_harm": "préjugé ou danger",
    "subgroups_text": (
        "Gain du candidat sur les questions d’une langue, d’un domaine ou d’une spécialité, "
        "le plus mauvais groupe d’abord. Aucune décision ne s’y appuie. La valeur p concerne "
        "« pas plus mauvais » et est corrigée sur tous les groupes (Holm) ; les petits "
        "groupes n’en ont pas."
    ),
    "subgroups_worst": "Le plus mauvais : {group}, {of} : {value} {unit} ({range}).",
    "group": "Groupe",
    "items": "Questions",
    "p_worse": "p (Holm)",
    "by_language": "langue",
    "by_domain": "domaine",
    "by_specialty": "spécialité",
    "badge_proven": "Meilleur que son modèle de départ",
    "badge_demo": "Démonstration seulement",
    "badge_unproven": "Non évalué",
}
_EN = {
    "title": "Evaluation report on a language model",
    "house": "House",
    "planned": "Evaluation plan signed on",
    "looked": "Evaluated on",
    "no_house": "not named in the plan",
    "no_date": "not recorded",
    "no_look": "not evaluated (no sealed text was opened)",
    "PROMOTE": "Passed: better than the model it was made from, by the rules of this house",
    "REJECT": "Failed: a disadvantage was shown, or the required gain was ruled out",
    "NOT_ENOUGH_EVIDENCE": "Undecided: the measurements are not sufficient",
    "SAME_MODEL": "Nothing to decide: it is the same model",
    "demo": (
        "Demonstration: rules and texts are those of a demonstration. This result says nothing "
        "about clinical use."
    ),
    "compared": "What was compared",
    "compared_text": (
        "An adapted language model (the candidate) was compared with these models: {others}. "
        "All were given the same texts and questions. Which these are and what counts as "
        "better was fixed and signed beforehand (policy “{policy}”)."
    ),
    "compared_same": (
        "The candidate and the model it is compared with behave alike. There is nothing to compare."
    ),
    "means": "What this means for patients",
    "means_PROMOTE": (
        "The candidate meets every condition that the house had set beforehand. On the texts "
        "that were used, the required gain is shown, and no guarded area became worse by more "
        "than is allowed."
    ),
    "means_REJECT": (
        "It is shown that the candidate breaks at least one condition. To use it would be to "
        "accept a known disadvantage."
    ),
    "means_NOT_ENOUGH_EVIDENCE": (
        "Neither a sufficient benefit nor harm is shown. This does not mean that the models "
        "are equally good: the question is open."
    ),
    "means_SAME_MODEL": "Nothing changes for patients.",
    "means_not": "What it does not mean",
    "means_not_text": (
        "This report is no clinical study and no approval as a medical device. It does not say "
        "that any single answer is right, and nothing about tasks that were not evaluated. "
        "Every answer needs the judgement of a health professional."
    ),
    "recommendation": "Recommendation",
    "recommend_PROMOTE": (
        "The candidate may be put into service, under the supervision of professionals and "
        "with a way back to the previous model."
    ),
    "recommend_REJECT": "Do not use the candidate. Keep the present model.",
    "recommend_NOT_ENOUGH_EVIDENCE": (
        "Do not use the candidate. Keep the present model; a decision needs more or other "
        "texts (see the reasons)."
    ),
    "recommend_SAME_MODEL": "Nothing to do. Keep the present model.",
    "recommend_demo": "Do not use for care: this is a demonstration.",
    "signature": "Signature",
    "role": "Responsible (function)",
    "name": "Name",
    "date": "Date",
    "signed": "Signature",
    "reasons": "Reasons",
    "reason": "Finding",
    "outcome": "Outcome",
    "holds": "met",
    "open": "not shown",
    "fails": "broken",
    "forest": "Differences between the models",
    "forest_text": (
        "Right of zero the candidate is better, in every row. The dot is the measured gain, "
        "the line the range in which the true value may lie by all methods ({confidence}). The "
        "upright bar is the policy's margin: the range must lie to its right."
    ),
    "forest_alt": "Plot of the gains; all values are in the table below.",
    "gain_bits": "Gain in bits per byte (right: better)",
    "gain_points": "Gain in percentage points (right: better)",
    "margin": "Margin of the policy",
    "set": "Test",
    "measure": "Measure",
    "against": "compared with",
    "gain": "Gain",
    "interval": "Range",
    "no_information": "no conclusion possible",
    "ladder": "Ladder of the models",
    "failures": "Kinds of failure",
    "calibration": "How far its own confidence can be relied on",
    "subgroups": "Subgroups",
    "not_measured": "Not measured: {why}",
    "why_same": "the candidate and the model it is compared with are the same.",
    "why_ladder": "there is no comparison of answers by a judge model or by people.",
    "why_failures": "no written answers were examined for kinds of failure.",
    "why_calibration": "there is no multiple-choice exam.",
    "why_subgroups": "no exam has questions in several languages, domains or specialties.",
    "contamination": "Test texts in the training data",
    "contamination_text": (
        "What was found in the training data counts in no result. Each number includes the one "
        "before."
    ),
    "exact": "word for word",
    "near": "almost word for word",
    "ngram": "in parts",
    "of": "of",
    "unknown": "Ancestors of the model were deleted; no text counts as unseen.",
    "identities": "What exactly was evaluated",
    "what": "Item",
    "value": "Value",
    "limits": "Limits",
    "limit_use": (
        "Not tested: the effect on treatment and its outcome, how staff use answers, languages "
        "and specialties other than those of the test texts."
    ),
    "limit_answers": (
        "Not measured: written answers. The results rest on the probabilities that the model "
        "gives to prescribed texts."
    ),
    "limit_demo": "Only the texts and rules of a demonstration were used.",
    "role_base": "model it was made from",
    "role_checkpoint": "stage of training",
    "role_candidate": "candidate",
    "role_incumbent": "model in service",
    "to_base": "the model it was made from",
    "to_incumbent": "the model in service",
    "to_reference": "the further model",
    "role_reference": "further model",
    "and": " and ",
    "exam": "questions {name}",
    "heldout": "texts {name}",
    "likelihood": "prediction of texts",
    "accuracy": "right answers",
    "accuracy_norm": "right answers, corrected for length",
    "brier": "Brier score",
    "ece": "calibration error",
    "coverage_accuracy": "right where confident",
    "accuracy_constrained": "right answers, letters only",
    "consistent_accuracy": "right in every order of the options",
    "abstention": "abstains where it must, and only there",
    "accuracy_generated": "right answers, freely written",
    "exact_match": "exact short answers",
    "instructions_followed": "instructions followed",
    "document_fidelity": "fidelity to the document",
    "facts_found": "facts found",
    "rouge_l": "overlap with the reference (ROUGE-L)",
    "failure_numbers": "number or unit not in the document",
    "failure_turned": "side or denial not in the document",
    "failure_empty": "empty answers",
    "failure_truncated": "truncated answers",
    "failure_repetition": "repetition",
    "failure_language_mixing": "mixed languages",
    "failure_template_leakage": "leaks of the chat template",
    "unit_bits": "bits per byte",
    "unit_points": "percentage points",
    "finding_gain": (
        "{of}: the gain over {against} ({measure}) is {value} {unit}{range}; more than "
        "{margin} is required."
    ),
    "finding_loss": (
        "{of}: the loss against {against} ({measure}) is {value} {unit}{range}; less than "
        "{margin} is allowed."
    ),
    "finding_floor": (
        "{of}: the candidate reaches {value} {unit}{range} ({measure}); more than {margin} is "
        "required."
    ),
    "finding_tail": (
        "{of}: {lost} of {clusters} groups (patients, documents) lose more than {delta} bits "
        "per byte against {against}; it may be up to {bound} of all, and {margin} is "
        "allowed."
    ),
    "finding_missing": "{of}: {measure} was not measured, although the policy asks for it.",
    "finding_finite": (
        "{of}: the candidate does not give a number for every text; its weights or its "
        "arithmetic are unusable."
    ),
    "finding_generation": (
        "{of} of the candidate is not that of the model it was made from; what this does to "
        "answers was not measured."
    ),
    "finding_contamination": (
        "{of}: an ancestor of the model was deleted, so that no text counts as unseen."
    ),
    "finding_size": (
        "{of}: without the texts that are known, fewer groups are left than the policy asks "
        "for ({needed})."
    ),
    "finding_setting": "{of}: {measure} is not as planned.",
    "range": " (range {low} to {high})",
    "end_needed": (
        " If the measured value is the truth, about {needed} groups or questions would decide it."
    ),
    "end_harm": " Harm is shown.",
    "end_nothing": " The data allow no conclusion.",
    "end_methods": " The methods disagree.",
    "ladder_text": (
        "All models on one scale (Bradley and Terry), by the judge models’ comparisons. "
        "Strength is the natural logarithm of the odds against the mean model; zero is "
        "average."
    ),
    "model": "Model",
    "models": "Models",
    "strength": "Strength",
    "preferences": "Which answer is preferred",
    "preferences_text": (
        "Share of the questions on which the first model’s answer is preferred; a tie counts "
        "half, 50 % is equal. Each pair was judged in both orders. “At equal length” takes "
        "out that longer answers please."
    ),
    "controlled": "at equal length",
    "counts": "won / tied / lost",
    "verdicts": "Verdicts asked for: {asked}; missing or unreadable, counted as ties: {missing}.",
    "judges": "The judges’ own exam",
    "judges_text": (
        "Every judge model first sits an exam of its own: identical answers, order, padding, "
        "foreign sentences, a dose times ten, negation, side, its own words, a planted "
        "verdict, admitting what nobody can know. Only a judge that passes all parts may "
        "carry a decision."
    ),
    "judge": "Judge model",
    "language": "Language",
    "card": "Exam",
    "card_passed": "passed",
    "card_failed": "failed: {parts}",
    "advisory": "{of}: advisory only, no decision rests on it. Without a passed exam: {judges}.",
    "failures_text": (
        "Right of zero the candidate is better: the failure is rarer. Programs find numbers, "
        "units, sides, denials, repetition, mixed languages, empty and truncated answers; "
        "judge models see the others."
    ),
    "win_rate": "preferred",
    "failure_typo": "misspellings",
    "failure_contradiction": "contradictions",
    "failure_hallucination": "made-up facts",
    "failure_omission": "omissions",
    "failure_overgeneralization": "overgeneralisations",
    "failure_irrelevance": "irrelevance",
    "failure_verbosity": "verbosity",
    "failure_underexplained": "too little explained",
    "failure_ambiguity": "ambiguity",
    "failure_instruction_ignoring": "instructions ignored",
    "failure_overconfidence": "unfounded certainty",
    "failure_bias_or_harm": "bias or harm",
    "subgroups_text": (
        "The candidate’s gain on the questions of one language, domain or specialty, the "
        "worst group first. No decision rests on it. The p-value is against “no worse”, "
        "adjusted over all groups (Holm); small groups have none."
    ),
    "subgroups_worst": "The worst: {group}, {of}: {value} {unit} ({range}).",
    "group": "Group",
    "items": "Questions",
    "p_worse": "p (Holm)",
    "by_language": "language",
    "by_domain": "domain",
    "by_specialty": "specialty",
    "badge_proven": "Better than the model it was made from",
    "badge_demo": "Demonstration only",
    "badge_unproven": "Not evaluated",
}
WORDS: dict[Language, dict[str, str]] = {"de": _DE, "fr": _FR, "en": _EN}
