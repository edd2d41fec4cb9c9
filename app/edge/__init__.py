"""The server's edge: limits on connections and bodies before anyone is authenticated."""
