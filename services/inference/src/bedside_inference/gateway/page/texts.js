// Every sentence of the page. The three catalogues have the same keys (a test compares them).

export const texts = {
  de: {
    title: "Bedside – KI-Textassistent dieses Hauses",
    tagline: "KI-Textassistent dieses Hauses",
    skip: "Zum Inhalt springen",
    language: "Sprache",
    about: "Modell und Grenzen",

    signInTitle: "Anmelden",
    signInIntro: "Verwenden Sie den Zugangsschlüssel, den Sie von Ihrer IT erhalten haben.",
    key: "Zugangsschlüssel",
    keyHelp:
      "Der Schlüssel bleibt im Arbeitsspeicher dieses Tabs. Beim Abmelden, Neuladen oder Schließen wird er vergessen.",
    signIn: "Anmelden",
    signOut: "Abmelden",
    checking: "Schlüssel wird geprüft …",
    keyMissing: "Geben Sie Ihren Zugangsschlüssel ein.",

    conversation: "Unterhaltung",
    newConversation: "Neue Unterhaltung",
    empty: "Stellen Sie eine Frage. Es antwortet ein KI-Modell, kein Mensch.",
    question: "Ihre Frage",
    questionHelp:
      "Eingabetaste sendet, Umschalt + Eingabetaste beginnt eine neue Zeile, Esc stoppt die Antwort.",
    send: "Senden",
    stop: "Stoppen",
    answering: "Die KI antwortet …",
    limits: "KI-Antworten können falsch sein. Nicht für Notfälle.",
    limitsLink: "Wofür Sie diese Seite nicht verwenden dürfen",

    you: "Sie",
    answer: "Antwort",
    generated: "KI-generiert",
    check: "Fachlich prüfen, bevor Sie etwas daraus verwenden.",
    reference: "Kennung für Rückfragen:",
    stopped: "Von Ihnen gestoppt; die Antwort ist unvollständig.",
    truncated: "Die Höchstlänge ist erreicht; die Antwort ist unvollständig.",
    broken: "Die Verbindung ist abgebrochen; die Antwort ist unvollständig.",

    modelTitle: "Antwortendes Modell",
    modelName: "Name",
    digest: "Version",
    verdict: "Prüfung",
    proven: "Interne Prüfung bestanden",
    unproven: "Nicht geprüft",
    provenExplained:
      "Auf den Prüftexten dieses Hauses hat das Modell die Vorgaben gegenüber seinem Ausgangsmodell erfüllt. Über die Richtigkeit einer einzelnen Antwort sagt das nichts.",
    unprovenExplained:
      "Für dieses Modell liegt keine bestandene Prüfung vor. Nur zum Ausprobieren, nicht für die Versorgung von Patientinnen und Patienten.",
    unknown: "unbekannt",

    noticeTitle: "Wofür Sie diese Seite nicht verwenden dürfen",
    noticeAi: "Hier antwortet eine künstliche Intelligenz. Was sie schreibt, kann falsch, unvollständig oder erfunden sein.",
    noticeDecisions:
      "Treffen Sie damit keine Entscheidung über Diagnose, Triage, Dosierung oder Behandlung ohne Ihr eigenes fachliches Urteil.",
    noticeEmergency: "Verwenden Sie die Seite nicht im Notfall. Alarmieren Sie das Notfallteam Ihres Hauses.",
    noticeDevice: "Dies ist kein Medizinprodukt.",
    noticePatientData: "Geben Sie nicht mehr Patientendaten ein als nötig, am besten keine.",
    noticeStorage:
      "Diese Seite speichert keine Fragen und keine Antworten. Die Unterhaltung besteht nur in diesem Tab.",

    invalidKey: "Dieser Schlüssel wird nicht angenommen. Melden Sie sich mit einem gültigen Schlüssel an oder wenden Sie sich an Ihre IT.",
    forbidden: "Ihr Schlüssel hat dafür keine Berechtigung. Wenden Sie sich an Ihre IT.",
    refused: "Die Anfrage wurde abgelehnt, vermutlich weil die Unterhaltung zu lang ist. Kürzen Sie die Frage oder beginnen Sie eine neue Unterhaltung.",
    tooMany: "Es wurden zu viele Anfragen gestellt.",
    loading: "Das Modell wird gerade geladen oder ist nicht bereit.",
    withdrawn: "Dieses Modell wurde außer Betrieb genommen. Verwenden Sie seine Antworten nicht.",
    unavailable: "Der Dienst nimmt zurzeit keine Anfragen an.",
    failed: "Der Dienst konnte die Anfrage nicht beantworten. Versuchen Sie es später noch einmal.",
    unreachable: "Der Dienst ist nicht erreichbar. Prüfen Sie die Verbindung zum Netz des Hauses.",
    retryAt: "Nächster Versuch möglich ab",
    questionKept: "Ihre Frage steht wieder im Eingabefeld.",
    stoppedEmpty: "Gestoppt, bevor eine Antwort kam.",
  },

  fr: {
    title: "Bedside – assistant de texte par IA de l’établissement",
    tagline: "Assistant de texte par IA de l’établissement",
    skip: "Aller au contenu",
    language: "Langue",
    about: "Modèle et limites",

    signInTitle: "Connexion",
    signInIntro: "Utilisez la clé d’accès que votre service informatique vous a remise.",
    key: "Clé d’accès",
    keyHelp:
      "La clé reste dans la mémoire vive de cet onglet. Elle est oubliée lorsque vous vous déconnectez, rechargez la page ou fermez l’onglet.",
    signIn: "Se connecter",
    signOut: "Se déconnecter",
    checking: "Vérification de la clé…",
    keyMissing: "Saisissez votre clé d’accès.",

    conversation: "Conversation",
    newConversation: "Nouvelle conversation",
    empty: "Posez une question. C’est un modèle d’IA qui répond, et non une personne.",
    question: "Votre question",
    questionHelp:
      "Entrée envoie, Maj + Entrée commence une nouvelle ligne, Échap arrête la réponse.",
    send: "Envoyer",
    stop: "Arrêter",
    answering: "L’IA répond…",
    limits: "Les réponses de l’IA peuvent être fausses. Pas d’usage en urgence.",
    limitsLink: "Ce pour quoi vous ne devez pas utiliser cette page",

    you: "Vous",
    answer: "Réponse",
    generated: "Généré par l’IA",
    check: "À vérifier avec votre jugement professionnel avant toute utilisation.",
    reference: "Référence pour toute question\u00a0:",
    stopped: "Arrêtée par vous\u00a0; la réponse est incomplète.",
    truncated: "La longueur maximale est atteinte\u00a0; la réponse est incomplète.",
    broken: "La connexion a été interrompue\u00a0; la réponse est incomplète.",

    modelTitle: "Modèle qui répond",
    modelName: "Nom",
    digest: "Version",
    verdict: "Évaluation",
    proven: "Évaluation interne réussie",
    unproven: "Non évalué",
    provenExplained:
      "Sur les textes d’évaluation de l’établissement, le modèle satisfait aux exigences par rapport à son modèle de départ. Cela ne dit rien de l’exactitude d’une réponse donnée.",
    unprovenExplained:
      "Aucune évaluation réussie n’existe pour ce modèle. Uniquement pour l’essayer, pas pour la prise en charge de patientes et de patients.",
    unknown: "inconnue",

    noticeTitle: "Ce pour quoi vous ne devez pas utiliser cette page",
    noticeAi: "C’est une intelligence artificielle qui répond ici. Ses réponses peuvent être fausses, incomplètes ou inventées.",
    noticeDecisions:
      "Ne prenez aucune décision de diagnostic, de triage, de posologie ou de traitement sans votre propre jugement clinique.",
    noticeEmergency: "N’utilisez pas cette page en cas d’urgence. Alertez l’équipe d’urgence de votre établissement.",
    noticeDevice: "Ceci n’est pas un dispositif médical.",
    noticePatientData: "Ne saisissez pas plus de données de patients que nécessaire, de préférence aucune.",
    noticeStorage:
      "Cette page n’enregistre ni questions ni réponses. La conversation n’existe que dans cet onglet.",

    invalidKey: "Cette clé n’est pas acceptée. Connectez-vous avec une clé valable ou adressez-vous à votre service informatique.",
    forbidden: "Votre clé ne donne pas ce droit. Adressez-vous à votre service informatique.",
    refused: "La demande a été refusée, sans doute parce que la conversation est trop longue. Abrégez la question ou commencez une nouvelle conversation.",
    tooMany: "Trop de demandes ont été envoyées.",
    loading: "Le modèle est en cours de chargement ou n’est pas prêt.",
    withdrawn: "Ce modèle a été mis hors service. N’utilisez pas ses réponses.",
    unavailable: "Le service n’accepte pas de demandes pour le moment.",
    failed: "Le service n’a pas pu répondre à la demande. Réessayez plus tard.",
    unreachable: "Le service est injoignable. Vérifiez la connexion au réseau de l’établissement.",
    retryAt: "Nouvel essai possible à partir de",
    questionKept: "Votre question se trouve de nouveau dans le champ de saisie.",
    stoppedEmpty: "Arrêté avant l’arrivée d’une réponse.",
  },

  en: {
    title: "Bedside – this hospital’s AI text assistant",
    tagline: "This hospital’s AI text assistant",
    skip: "Skip to content",
    language: "Language",
    about: "Model and limits",

    signInTitle: "Sign in",
    signInIntro: "Use the access key that your IT department gave you.",
    key: "Access key",
    keyHelp:
      "The key stays in the memory of this tab. Signing out, reloading or closing the tab forgets it.",
    signIn: "Sign in",
    signOut: "Sign out",
    checking: "Checking the key …",
    keyMissing: "Enter your access key.",

    conversation: "Conversation",
    newConversation: "New conversation",
    empty: "Ask a question. An AI model answers, not a person.",
    question: "Your question",
    questionHelp: "Enter sends, Shift + Enter starts a new line, Esc stops the answer.",
    send: "Send",
    stop: "Stop",
    answering: "The AI is answering …",
    limits: "AI answers can be wrong. Not for emergencies.",
    limitsLink: "What you must not use this page for",

    you: "You",
    answer: "Answer",
    generated: "AI-generated",
    check: "Check it with your own expertise before you use any of it.",
    reference: "Reference for queries:",
    stopped: "Stopped by you; the answer is incomplete.",
    truncated: "The length limit is reached; the answer is incomplete.",
    broken: "The connection broke off; the answer is incomplete.",

    modelTitle: "Answering model",
    modelName: "Name",
    digest: "Version",
    verdict: "Evaluation",
    proven: "Passed in-house evaluation",
    unproven: "Not evaluated",
    provenExplained:
      "On this hospital’s evaluation texts the model met the requirements against the model it was made from. That says nothing about whether any single answer is right.",
    unprovenExplained:
      "No passed evaluation exists for this model. For trying out only, not for patient care.",
    unknown: "unknown",

    noticeTitle: "What you must not use this page for",
    noticeAi: "An artificial intelligence answers here. Its answers can be wrong, incomplete or made up.",
    noticeDecisions:
      "Make no decision on diagnosis, triage, dosing or treatment with it without your own clinical judgement.",
    noticeEmergency: "Do not use this page in an emergency. Call your hospital’s emergency team.",
    noticeDevice: "This is not a medical device.",
    noticePatientData: "Do not enter more patient data than needed, ideally none.",
    noticeStorage:
      "This page stores no questions and no answers. The conversation exists in this tab only.",

    invalidKey: "This key is not accepted. Sign in with a valid key, or ask your IT department.",
    forbidden: "Your key does not allow this. Ask your IT department.",
    refused: "The request was refused, probably because the conversation is too long. Shorten the question or start a new conversation.",
    tooMany: "Too many requests were made.",
    loading: "The model is loading or is not ready.",
    withdrawn: "This model was taken out of service. Do not use its answers.",
    unavailable: "The service is not taking requests at the moment.",
    failed: "The service could not answer the request. Try again later.",
    unreachable: "The service cannot be reached. Check the connection to the hospital’s network.",
    retryAt: "You can try again from",
    questionKept: "Your question is back in the input field.",
    stoppedEmpty: "Stopped before an answer came.",
  },
};

export const names = { de: "Deutsch", fr: "Français", en: "English" };
