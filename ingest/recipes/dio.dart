// Upload a pair with Dio 5: dart run dio.dart BASE MOMENT TOKEN FRONT BACK. Not run by the project's tests.
import 'dart:io';
import 'dart:math';

import 'package:dio/dio.dart';

const retried = {408, 429, 502, 503, 504, 507};
const tries = 12;
final chance = Random();

Future<void> sleep(double seconds) => Future.delayed(Duration(milliseconds: (seconds * 1000).round()));

// The final answer; every try sends the same bytes, with the last ticket. Dio has no Expect.
Future<Response<Map<String, dynamic>>> upload(Dio dio, String moment, File front, File back) async {
  final form = FormData.fromMap({
    'front': await MultipartFile.fromFile(front.path, filename: 'front.jpg', contentType: DioMediaType('image', 'jpeg')),
    'back': await MultipartFile.fromFile(back.path, filename: 'back.jpg', contentType: DioMediaType('image', 'jpeg')),
  });
  // A FormData can be sent once. Encoded once, the bytes are the same in every try.
  final body = await form.readAsBytes();
  final headers = <String, dynamic>{
    'Content-Type': 'multipart/form-data; boundary=${form.boundary}',
    'Content-Length': body.length,
  };
  var backoff = 0.2;
  for (var left = tries - 1;; left--) {
    var wait = 0.1 + chance.nextDouble() * backoff;
    try {
      final answer = await dio.post<Map<String, dynamic>>('/v1/moments/$moment/posts',
          data: Stream.value(body), options: Options(headers: headers));
      if (!retried.contains(answer.statusCode) || left == 0) return answer;
      final ticket = answer.headers.value('Snapsurge-Ticket');
      if (ticket != null) headers['Snapsurge-Ticket'] = ticket;
      final asked = double.tryParse(answer.headers.value('Retry-After') ?? '');
      if (asked != null) wait = asked * (1 + chance.nextDouble() / 10);
    } on DioException {
      backoff = min(backoff * 2, 5);
      if (left == 0) rethrow;
    }
    await sleep(wait);
  }
}

// The post when it is ready or rejected, or as it is when patience ends.
Future<Map<String, dynamic>> settled(Dio dio, Map<String, dynamic> post, {int patience = 300}) async {
  final ends = DateTime.now().add(Duration(seconds: patience));
  while (post['state'] == 'accepted' && DateTime.now().isBefore(ends)) {
    final began = DateTime.now();
    final answer = await dio.get<Map<String, dynamic>>(post['links']['self'], queryParameters: {'wait': 25});
    if (answer.statusCode == 200) post = answer.data!;
    if (post['state'] == 'accepted' && DateTime.now().difference(began).inSeconds < 20) await sleep(1);
  }
  return post;
}

Future<void> main(List<String> words) async {
  final dio = Dio(BaseOptions(
    baseUrl: words[0],
    headers: {'Authorization': 'Bearer ${words[2]}'},
    connectTimeout: const Duration(seconds: 5),
    receiveTimeout: const Duration(seconds: 60),
    validateStatus: (_) => true, // statuses are answers here, not exceptions
  ));
  final answer = await upload(dio, words[1], File(words[3]), File(words[4]));
  final post = answer.data!;
  if (answer.statusCode! >= 400) {
    print('${answer.statusCode} ${post['code']}');
    exit(1);
  }
  print('${answer.statusCode} ${post['id']} ${post['received_at']}');
  print((await settled(dio, post))['state']);
  exit(0);
}
