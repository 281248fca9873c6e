// What the JDK itself has: java.net.http.HttpClient as it is, which offers HTTP/2 on plain HTTP.
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;

class Client {
    static final String URL = System.getenv("URL"), KEY = System.getenv("KEY");

    public static void main(String[] words) throws Exception {
        run("threeTurns", () -> threeTurns(false));
        run("threeTurnsInChunks", () -> threeTurns(true));
        run("aStream", Client::aStream);
        run("models", Client::models);
    }

    /** A client of its own each time: only the first request on a connection offers HTTP/2. */
    static HttpClient client() { return HttpClient.newHttpClient(); }

    static HttpRequest.Builder to(String path) {
        return HttpRequest.newBuilder(URI.create(URL + path)).header("Authorization", "Bearer " + KEY);
    }

    static HttpRequest chat(List<String> messages, boolean stream, boolean chunked) {
        String body = "{\"model\": \"test\", \"stream\": " + stream + ", \"messages\": ["
            + String.join(", ", messages) + "]}";
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        return to("/chat/completions").header("Content-Type", "application/json")
            .POST(chunked
                ? BodyPublishers.ofInputStream(() -> new java.io.ByteArrayInputStream(bytes))
                : BodyPublishers.ofByteArray(bytes))
            .build();
    }

    static String message(String role, String content) {
        return "{\"role\": \"" + role + "\", \"content\": \"" + content + "\"}";
    }

    static Void threeTurns(boolean chunked) throws Exception {
        List<String> messages = new ArrayList<>();
        for (HttpClient one = null, other = client(); messages.size() < 6; ) {
            int turn = messages.size() / 2 + 1;
            messages.add(message("user", "Größe ".repeat(turn * 2000) + turn));
            // The first and second over one connection, the third over a new one.
            one = turn < 3 ? other : client();
            HttpResponse<String> answer = one.send(chat(messages, false, chunked), BodyHandlers.ofString());
            String said = "Antwort " + turn + ": 5 mg.";
            hold(answer.statusCode() == 200, answer.statusCode() + ": " + answer.body());
            hold(answer.version() == HttpClient.Version.HTTP_1_1, answer.version().toString());
            hold(answer.body().contains("\"content\": \"" + said + "\"")
                || answer.body().contains("\"content\":\"" + said + "\""), answer.body());
            messages.add(message("assistant", said));
        }
        return null;
    }

    static Void aStream() throws Exception {
        HttpRequest asked = chat(List.of(message("user", "Frage")), true, false);
        HttpResponse<InputStream> answer = client().send(asked, BodyHandlers.ofInputStream());
        String events = new String(answer.body().readAllBytes(), StandardCharsets.UTF_8);
        hold(answer.statusCode() == 200, events);
        hold(events.contains("Antwort") && events.endsWith("data: [DONE]\n\n"), events);
        return null;
    }

    static Void models() throws Exception {
        HttpResponse<String> answer = client().send(to("/models").GET().build(), BodyHandlers.ofString());
        hold(answer.statusCode() == 200 && answer.body().contains("\"id\":\"test\""), answer.body());
        HttpRequest head = to("/models").method("HEAD", BodyPublishers.noBody()).build();
        hold(client().send(head, BodyHandlers.ofString()).statusCode() == 200, "HEAD");
        return null;
    }

    static void run(String name, Callable<Void> scenario) {
        String fault = "null";
        try {
            scenario.call();
        } catch (Exception | AssertionError error) {
            String said = error.toString().replaceAll("[\"\\\\\\p{Cntrl}]", " ");
            fault = "\"" + said.substring(0, Math.min(said.length(), 600)) + "\"";
        }
        System.out.println("{\"name\": \"" + name + "\", \"fault\": " + fault + "}");
    }

    static void hold(boolean held, String fault) {
        if (!held) throw new AssertionError(fault);
    }
}
