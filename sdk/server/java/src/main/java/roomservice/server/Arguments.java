package roomservice.server;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/** What a call is given, by name. What is null is left out. */
abstract class Arguments {
    private final Map<String, Object> values = new LinkedHashMap<>();

    final void put(String name, Object value) {
        if (value == null) {
            values.remove(name);
        } else {
            values.put(name, value);
        }
    }

    final Map<String, Object> values() {
        return Collections.unmodifiableMap(values);
    }
}
