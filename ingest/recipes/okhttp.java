// Upload a pair with OkHttp 4 or 5: java Upload BASE MOMENT TOKEN FRONT BACK.
import java.io.File;
import java.io.IOException;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import okhttp3.MediaType;
import okhttp3.MultipartBody;
import okhttp3.OkHttpClient;
import okhttp3.Protocol;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;
import okio.Buffer;

class Upload {
    static final Set<Integer> RETRIED = Set.of(408, 429, 502, 503, 504, 507);
    static final int TRIES = 12;
    // Its timeouts are the longest silences, not whole times. OkHttp sends a POST again by itself when a kept
    // connection turns out to be dead: the answer is then 200, as of any repeated try.
    static final OkHttpClient CLIENT =
            new OkHttpClient.Builder()
                    .connectTimeout(5, TimeUnit.SECONDS)
                    .readTimeout(60, TimeUnit.SECONDS)
                    .writeTimeout(60, TimeUnit.SECONDS)
                    .protocols(List.of(Protocol.HTTP_1_1))
                    .build();

    record Answer(int status, String text) {
        // Use your JSON library here; this keeps the program short.
        String field(String name) {
            Matcher found = Pattern.compile("\"" + name + "\":\"([^\"]*)\"").matcher(text);
            return found.find() ? found.group(1) : "";
        }
    }

    // The final answer; a retry brings the last ticket, and its body only after 100 Continue.
    static Answer upload(String base, String moment, String token, File front, File back) throws Exception {
        MultipartBody form =
                new MultipartBody.Builder()
                        .setType(MultipartBody.FORM)
                        .addFormDataPart("front", "front.jpg", RequestBody.create(front, MediaType.get("image/jpeg")))
                        .addFormDataPart("back", "back.jpg", RequestBody.create(back, MediaType.get("image/jpeg")))
                        .build();
        Buffer encoded = new Buffer(); // built once: every try sends the same bytes
        form.writeTo(encoded);
        RequestBody body = RequestBody.create(encoded.readByteArray(), form.contentType());
        String ticket = null;
        double backoff = 0.2;
        for (int left = TRIES - 1; ; left--) {
            Request.Builder request = new Request.Builder().url(base + "/v1/moments/" + moment + "/posts").post(body);
            request.header("Authorization", "Bearer " + token);
            if (ticket != null) request.header("Snapsurge-Ticket", ticket).header("Expect", "100-continue");
            double wait = random(0.1, backoff);
            try (Response answer = CLIENT.newCall(request.build()).execute()) {
                if (!RETRIED.contains(answer.code()) || left == 0) {
                    return new Answer(answer.code(), answer.body().string());
                }
                ticket = answer.header("Snapsurge-Ticket", ticket);
                String asked = answer.header("Retry-After", "");
                if (asked.matches("\\d+")) wait = Integer.parseInt(asked) * random(1, 1.1);
            } catch (IOException broken) {
                backoff = Math.min(backoff * 2, 5);
                if (left == 0) throw broken;
            }
            Thread.sleep((long) (wait * 1000));
        }
    }

    // The post when it is ready or rejected, or as it is when patience ends.
    static Answer settled(String base, String token, Answer post, long patience) throws Exception {
        long ends = System.nanoTime() + TimeUnit.SECONDS.toNanos(patience);
        String self = post.field("self");
        while (post.field("state").equals("accepted") && System.nanoTime() < ends) {
            long began = System.nanoTime();
            Request request =
                    new Request.Builder()
                            .url(base + self + "?wait=25")
                            .header("Authorization", "Bearer " + token)
                            .build();
            try (Response answer = CLIENT.newCall(request).execute()) {
                String text = answer.body().string();
                if (answer.isSuccessful()) post = new Answer(answer.code(), text);
            }
            boolean early = System.nanoTime() - began < TimeUnit.SECONDS.toNanos(20);
            if (early && post.field("state").equals("accepted")) Thread.sleep(1000);
        }
        return post;
    }

    static double random(double from, double to) {
        return ThreadLocalRandom.current().nextDouble(from, to);
    }

    public static void main(String[] words) throws Exception {
        Answer answer = upload(words[0], words[1], words[2], new File(words[3]), new File(words[4]));
        if (answer.status() >= 400) {
            System.out.println(answer.status() + " " + answer.field("code"));
            System.exit(1);
        }
        System.out.println(answer.status() + " " + answer.field("id") + " " + answer.field("received_at"));
        System.out.println(settled(words[0], words[2], answer, 300).field("state"));
    }
}
