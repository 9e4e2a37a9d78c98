// Uses a client that openapi-generator made (java): BASE MOMENT TOKEN FRONT BACK; prints a line for each step.
import java.io.File;
import java.nio.file.Files;
import java.util.Map;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.ApiResponse;
import org.openapitools.client.api.MomentsApi;
import org.openapitools.client.api.PostsApi;
import org.openapitools.client.model.PostView;
import org.openapitools.client.model.Problem;

class Client {
    public static void main(String[] words) throws Exception {
        ApiClient client = new ApiClient().setBasePath(words[0]);
        client.setBearerToken(words[2]);
        PostsApi posts = new PostsApi(client);
        ApiResponse<PostView> made =
                new MomentsApi(client)
                        .upload(words[1], new File(words[3]), new File(words[4]))
                        .meta("{\"caption\":\"hello\"}")
                        .executeWithHttpInfo();
        PostView post = made.getData();
        System.out.println(made.getStatusCode() + " " + post.getId());
        Integer seconds = 3; // an `int` would call Object.wait(long)
        while (post.getState() == PostView.StateEnum.ACCEPTED) post = posts.getPost(post.getId()).wait(seconds).execute();
        System.out.println(post.getState());
        byte[] picture = Files.readAllBytes(posts.getPhoto(post.getId(), "front", "thumb").execute().toPath());
        System.out.printf("%02x%02x%n", picture[0], picture[1]);
        System.out.println(((Map<?, ?>) posts.getPostMeta(post.getId()).execute()).get("caption"));
        try {
            posts.getPost(post.getId().substring(0, 26) + "-no-such-moment").execute();
        } catch (ApiException refused) {
            System.out.println(Problem.fromJson(refused.getResponseBody()).getCode());
        }
        System.exit(0);
    }
}
